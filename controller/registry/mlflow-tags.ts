import type { ModelManifest } from '../../contract/model-manifest.ts'
import type { MlflowVersion } from './mlflow-models.ts'
import type { ModelVersion } from './registry.ts'

// How what we know of a version is written on the MLflow server.

/** Set last: a version without it is not complete, or none of ours. */
export const DIGEST = 'weir.digest'
export const REGISTERED_BY = 'weir.registered_by'
export const FAILED = 'weir.failed'

/** Undefined: not complete, or none of ours. */
export function toVersion(
  model: string,
  { version, creation_timestamp: at, tags }: MlflowVersion,
): ModelVersion | undefined {
  const digest = tags.get(DIGEST)
  if (digest === undefined) return undefined
  const [registeredBy = null, failed = null] = [tags.get(REGISTERED_BY), tags.get(FAILED)]
  return { model, version, digest, registeredAt: at, registeredBy, failed }
}

/** `food-photos/test.top1` and the like; MLflow allows letters, digits and _-./ and spaces in a key. */
export function metricsOf(manifest: Pick<ModelManifest, 'accuracy'>): Record<string, number> {
  const metrics: Record<string, number> = {}
  for (const [set, measured] of Object.entries(manifest.accuracy ?? {})) {
    const key = set.replaceAll(/[^\w\-./ ]/g, '_')
    for (const [name, value] of Object.entries(measured))
      if (value !== undefined) metrics[`${key}.${name}`] = value
  }
  return metrics
}
