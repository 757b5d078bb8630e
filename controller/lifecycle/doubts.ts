import type { EnvironmentName, Source } from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import type { ModelVersion } from '../registry/registry.ts'
import { versionFailed } from '../registry/version-failed.ts'
import { askPlace } from './environment-observe.ts'
import type { Place } from './environment-routes.ts'
import { isGood, type HistoryEntry } from './environment-state.ts'
import type { EnvironmentStore } from './environment-store.ts'
import type { DoubtsAboutApproval } from './pipeline-approvers.ts'

interface DoubtsOptions {
  readonly environments: EnvironmentStore
  readonly places: Readonly<Record<EnvironmentName, Place>>
  readonly doubtsAboutApproval: DoubtsAboutApproval
}

interface Promotion {
  readonly from: Source
  readonly to: EnvironmentName
  readonly actor: string
}

/** Why a version should not be promoted like this, the weightiest first; it may be by force alone. */
export async function doubtsAbout(
  version: ModelVersion,
  { from, to, actor }: Promotion,
  options: DoubtsOptions,
): Promise<WeirError[]> {
  return [
    ...(version.failed === null ? [] : [versionFailed(version)]),
    ...(from === 'development' ? doubtsAboutUntested(to) : await doubtsAboutSource(from, version, options)),
    ...(to === 'production' ? options.doubtsAboutApproval(version, actor) : []),
  ]
}

/** Why a version should not leave an environment: it does not verifiably run there, or its gates have not passed. */
async function doubtsAboutSource(
  from: EnvironmentName,
  { version, digest }: { readonly version: string; readonly digest: string },
  { environments, places }: DoubtsOptions,
): Promise<WeirError[]> {
  const { current } = environments.get(from).state
  const answer = await askPlace(places[from])
  if (current?.digest !== digest || answer?.digest !== digest) {
    const there = answer === null ? 'nothing answers' : `version ${answer.version} (${answer.digest}) answers`
    return [new WeirError('not_verified', `${from} does not run version ${version} (${digest}): ${there}`)]
  }
  const why = whyNotPassed(environments.entry(from, current.revision))
  if (why === undefined) return []
  const message = `version ${version} has not passed the gates of ${from}: ${why ?? `weir env gates ${from} runs them`}`
  return [new WeirError('gates_not_passed', message)]
}

/** Undefined: it has. Null: nobody ran them. What a person found last counts, too, where it was seen good before. */
function whyNotPassed(entry: HistoryEntry | undefined): string | null | undefined {
  if (entry !== undefined && entry.failedGates !== null) return entry.failedGates
  return isGood(entry) ? undefined : (entry?.failure ?? null)
}

/** What is registered and runs nowhere may go where gates are measured, and no further. */
function doubtsAboutUntested(to: EnvironmentName): WeirError[] {
  if (to === 'staging') return []
  const message = `what is only registered has passed no gates; promote it to staging first, not to ${to}`
  return [new WeirError('gates_not_passed', message)]
}
