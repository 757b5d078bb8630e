import { z } from 'zod'

// The Open Inference Protocol's request, with the binary and classification extensions:
// https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
// Parameters are open by the specification: a server ignores those it does not know.

const size = z.int().min(0)

const inferInput = z.object({
  name: z.string(),
  shape: z.array(size).max(8),
  datatype: z.string(),
  parameters: z
    .looseObject({ binary_data_size: size.optional(), content_type: z.string().optional() })
    .optional(),
  data: z.unknown().optional(),
})
export type InferInput = z.infer<typeof inferInput>

const requestedOutput = z.object({
  name: z.string(),
  parameters: z
    .looseObject({ binary_data: z.boolean().optional(), classification: z.int().min(1).optional() })
    .optional(),
})

export type RequestedOutput = z.infer<typeof requestedOutput>

export const inferRequest = z.object({
  id: z.string().optional(),
  parameters: z.looseObject({ binary_data_output: z.boolean().optional() }).optional(),
  inputs: z.array(inferInput).min(1).max(64),
  outputs: z.array(requestedOutput).max(64).optional(),
})
export type InferRequest = z.infer<typeof inferRequest>
