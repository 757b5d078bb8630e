import { WeirError } from '../../contract/errors.ts'
import type { ModelVersion } from './registry.ts'

/** The refusal of a version that a pipeline has stopped. */
export function versionFailed({ model, version, failed }: ModelVersion): WeirError {
  const way = `weir model clear-failure ${model}/${version} takes that back`
  return new WeirError('version_failed', `version ${version} of ${model} failed: ${failed}; ${way}`)
}
