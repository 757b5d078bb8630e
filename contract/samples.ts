import { z } from 'zod'

/** samples.json: photos of its folder, and what each shows. */
export const sampleList = z.array(
  z.strictObject({
    file: z
      .string()
      .refine(file => !file.startsWith('/') && !file.split('/').includes('..'), 'must stay in its folder'),
    label: z.string(),
  }),
)
