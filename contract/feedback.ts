import { z } from 'zod'

const outcome = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9_]{0,49}$/, 'must be lower-case letters, digits and underscores'),
  value: z.number().min(-1e12).max(1e12).default(1),
})

/**
 * What really happened to a prediction: the true label, or a named outcome (clicked, ordered, seconds watched). One object and
 * not a union of two, so that what is wrong is told by name.
 */
export const feedback = z
  .strictObject({
    prediction_id: z.string().max(2048),
    label: z.string().min(1).max(200).optional(),
    outcome: outcome.optional(),
  })
  .refine(({ label, outcome }) => (label === undefined) !== (outcome === undefined), {
    message: 'needs either `label` or `outcome`',
  })
export type Feedback = z.infer<typeof feedback>

export const feedbackAnswer = z.object({
  route: z.string(),
  variant: z.string(),
  /** Only for a label. */
  correct: z.boolean().optional(),
})
export type FeedbackAnswer = z.infer<typeof feedbackAnswer>
