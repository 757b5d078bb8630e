import { z } from 'zod'

// What the registry of models says over the controller's API.

/** Where a version may stand; one version per alias, several aliases per version. */
export const ALIASES = ['development', 'staging', 'canary', 'production'] as const
export const alias = z.enum(ALIASES, `must be one of ${ALIASES.join(', ')}`)
export type Alias = z.infer<typeof alias>

/** One registered version, or one that lies in the models folder without being registered. */
export const modelVersion = z.object({
  model: z.string(),
  version: z.string(),
  digest: z.string(),
  aliases: z.array(alias),
  registeredAt: z.string().nullable(),
  registeredBy: z.string().nullable(),
  /** Why it must not be used again; null while nothing is known against it. */
  failed: z.string().nullable(),
})
export type ModelVersionView = z.infer<typeof modelVersion>
