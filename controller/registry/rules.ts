import { WeirError } from '../../contract/errors.ts'
import type { Alias } from '../../contract/registry.ts'
import type { Content } from './content.ts'
import type { ModelVersion } from './registry.ts'

// What is decided alike wherever versions are kept.

/** Throws `precondition_failed` when somebody else has moved the alias meanwhile. */
export function requireExpected(
  alias: Alias,
  before: string | null,
  expected: string | null | undefined,
): void {
  if (expected === undefined || expected === before) return
  const points = before === null ? 'points at nothing' : `points at version ${before}`
  throw new WeirError('precondition_failed', `${alias} ${points}, not at ${expected ?? 'nothing'}`, {
    details: { current: before },
  })
}

/**
 * The version that has this content already: the one whose digest this content has under its number. Throws `version_exists`
 * when another number was asked for.
 */
export function findSame(
  content: Content,
  versions: readonly ModelVersion[],
  asked: string | undefined,
): ModelVersion | undefined {
  const same = versions.find(one => content.stamp(one.model, one.version).digest === one.digest)
  if (same === undefined || asked === undefined || asked === same.version) return same
  throw new WeirError('version_exists', `the same content is version ${same.version} already`, {
    details: { version: same.version },
  })
}

export function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
