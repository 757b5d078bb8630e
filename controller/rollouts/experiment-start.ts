import { armSharesBp, armVariants, type Ab } from '../../contract/ab.ts'
import { WeirError } from '../../contract/errors.ts'
import type { RoutePolicy, SplitBy } from '../../contract/policy.ts'
import type { RolloutFile } from '../../contract/rollout.ts'
import type { ModelVersion, VersionLookup } from '../registry/registry.ts'
import type { Experiment, FurtherArm } from './arms.ts'
import { leftOverOf } from './arms-policy.ts'
import { replicasFor } from './replicas.ts'
import type { RolloutState } from './rollout-state.ts'

interface ExperimentOptions {
  /** The rollout's. */
  readonly name: string
  readonly registry: VersionLookup
  readonly policy: Pick<RoutePolicy, 'sticky' | 'splitBy' | 'variants'>
  readonly stable: { readonly model: string; readonly digest: string; readonly endpoints: readonly string[] }
  readonly candidate: ModelVersion
  readonly superseded: RolloutState | undefined
}

/** How an experiment begins; null where the strategy is none. Throws what an operator can mend. */
export async function firstExperiment(
  { spec: { route, strategy } }: RolloutFile,
  options: ExperimentOptions,
): Promise<Experiment | null> {
  const { ab } = strategy
  if (ab === undefined) return null
  refuseUndealable(route, ab, options)
  if (options.stable.endpoints.length === 0) return firstVersion(ab)
  const others = await furtherArms(ab, options)
  return { by: splitByOf(ab), isDealt: false, main: 'candidate', others, fallen: [], winner: null }
}

/** Nothing is compared on a route without a version; the first one takes all traffic. */
function firstVersion({ arms }: Ab): null {
  if (arms.length === 0) return null
  throw new WeirError(
    'invalid_setting',
    'spec.strategy.ab.arms: the route has no version to compare them with',
  )
}

function refuseUndealable(route: string, { by }: Ab, { policy, superseded }: ExperimentOptions): void {
  if (by === undefined && policy.sticky === undefined)
    throw new WeirError(
      'invalid_setting',
      `spec.strategy.ab: route ${route} has no sticky key, so users would change arms with every request`,
    )
  const isLeftOver = superseded !== undefined && leftOverOf(superseded)?.splitBy
  if (by !== undefined && policy.splitBy !== undefined && !isLeftOver)
    throw new WeirError('conflict', `route ${route} has splitBy already, which the experiment would replace`)
}

async function furtherArms(ab: Ab, options: ExperimentOptions): Promise<readonly FurtherArm[]> {
  const { name, registry, policy, stable, candidate, superseded } = options
  const shares = armSharesBp(ab)
  const leftOver = new Set(superseded === undefined ? [] : leftOverOf(superseded)?.variants)
  const known = new Map([
    [stable.digest, 'stable'],
    [candidate.digest, 'candidate'],
  ])
  const full = Math.max(1, stable.endpoints.length)
  const arms: FurtherArm[] = []
  for (const [index, variant] of armVariants(ab).slice(1).entries()) {
    const wanted = ab.arms[index]?.version ?? ''
    const { version, digest } = await registry.get(stable.model, wanted)
    const same = known.get(digest)
    if (same !== undefined) throw new WeirError('conflict', `version ${version} is ${same} already`)
    if (variant in policy.variants && !leftOver.has(variant))
      throw new WeirError('conflict', `the route has a variant "${variant}" already`)
    known.set(digest, variant)
    const deployment = { id: `${name}.${variant}`, own: true }
    const weightBp = shares[index + 1] ?? 0
    const replicas = ab.by ? full : replicasFor(weightBp, { full, least: 1 })
    arms.push({ variant, version, digest, endpoints: [], deployment, weightBp, replicas })
  }
  return arms
}

function splitByOf({ by }: Ab): SplitBy | null {
  if (by === undefined) return null
  const rules = Object.entries(by.values).map(([to, values]) => ({ values, to }))
  return { header: by.header, rules }
}
