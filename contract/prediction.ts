import { z } from 'zod'

const ranked = z.object({ label: z.string(), confidence: z.number().min(0).max(1) })

/**
 * What a model server answers to POST …/predict, and what the gateway holds answers against on routes with
 * `contract: prediction`. Further members are kept as they are.
 */
export const prediction = z.looseObject({
  label: z.string(),
  class_index: z.int().min(0),
  confidence: z.number().min(0).max(1),
  /** Best first. */
  top_k: z.array(ranked).min(1),
  model: z.string(),
  model_version: z.string(),
})

export type Prediction = z.infer<typeof prediction>
