import { z } from 'zod'

// What the processes of a version wrote, line by line, so that it can be followed.

export const logPage = z.object({
  /** Oldest first, as far as the lines say when they were written. */
  items: z.array(
    z.object({
      /** DEPLOYMENT/NUMBER: which process wrote it; one that is started again keeps its name. */
      instance: z.string(),
      text: z.string(),
    }),
  ),
  /** What a next question goes on from. */
  cursor: z.string(),
})
export type LogPage = z.infer<typeof logPage>
export type LogLine = LogPage['items'][number]
