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

/** What lies in a version's place and cannot be used, and why. */
export const brokenVersion = z.object({ version: z.string(), reason: z.string() })
export type BrokenVersion = z.infer<typeof brokenVersion>

/** PUT of an alias; null takes it away. */
export const aliasBody = z.strictObject({
  version: z.string().min(1).max(63).nullable(),
  reason: z.string().max(1000).optional(),
})

/** A version that failed may try again. */
export const clearFailureBody = z.strictObject({ reason: z.string().trim().min(1).max(1000) })

/** One version with its manifest as it is kept. */
export const modelVersionDetails = modelVersion.extend({ manifest: z.looseObject({}) })
export type ModelVersionDetails = z.infer<typeof modelVersionDetails>

/** One line about a model; `latest`: its highest number. */
export const modelSummary = z.object({
  name: z.string(),
  versions: z.int(),
  latest: z.string().nullable(),
  aliases: z.partialRecord(alias, z.string()),
  broken: z.array(brokenVersion),
})
export type ModelSummary = z.infer<typeof modelSummary>
