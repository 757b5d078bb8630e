import type { Decision } from '../../contract/history.ts'
import type { Phase } from '../../contract/rollout.ts'
import type { StrategyName } from '../../contract/strategy.ts'
import type { MetricStanding } from '../judge/custom-metrics.ts'
import { armViews, type ArmView } from './arms-view.ts'
import type { Outlook, Recreation, RolloutState, Warning } from './rollout-state.ts'
import type { StoredRollout } from './rollout-store.ts'
import { planOf } from './strategies/plan.ts'
import { wantedPolicy } from './wanted-policy.ts'

/** A rollout as the API shows it. Times are ISO 8601 (UTC), weights percent. */
export interface RolloutView {
  readonly name: string
  readonly route: string
  readonly strategy: StrategyName
  readonly phase: Phase
  readonly cause: string | null
  readonly message: string
  readonly step: { readonly index: number; readonly of: number; readonly name: string }
  readonly weight: number
  readonly versions: {
    readonly model: string
    readonly stable: { readonly version: string; readonly digest: string }
    readonly candidate: { readonly version: string; readonly digest: string }
  }
  /** In service, by variant: how many processes answer for it. */
  readonly processes: Readonly<Record<string, number>>
  /** Of an experiment: stable, the control, and the versions compared with it; otherwise none. */
  readonly arms: readonly ArmView[]
  readonly drill: unknown
  readonly decision: Decision | null
  /** What is still to come at the traffic of late; null while that is not known. Seconds are null where it never comes. */
  readonly outlook: Outlook | null
  /** How long it was expected to take when that could first be said. */
  readonly expectation: { readonly seconds: number | null; readonly requestsPerSecond: number } | null
  readonly warnings: readonly Warning[]
  /** The team's own metrics at the last look. */
  readonly metrics: readonly MetricStanding[]
  readonly startedAt: string
  readonly endedAt: string | null
  /** Milliseconds from the decision to withdraw until every gateway worker had applied it; null when not withdrawn. */
  readonly withdrawMs: number | null
  /** How long the route was closed, as every gateway worker had it; null where it was not, or still is. */
  readonly gapMs: number | null
  readonly version: number
}

export function rolloutView({ name, route, file, state, version }: StoredRollout): RolloutView {
  const { strategy, steps } = planOf(file.spec, state)
  const step = steps[state.step]
  return {
    name,
    route,
    strategy,
    phase: state.phase,
    cause: state.cause,
    message: state.message,
    step: {
      index: state.step,
      of: steps.length,
      name: step === undefined ? 'end' : (Object.keys(step)[0] ?? 'end'),
    },
    weight: state.weightBp / 100,
    versions: {
      model: state.model,
      stable: { version: state.stable.version, digest: state.stable.digest },
      candidate: { version: state.candidate.version, digest: state.candidate.digest },
    },
    processes: processesOf(state),
    arms: armViews(state),
    drill: file.spec.drill ?? null,
    decision: state.lastDecision,
    outlook: state.outlook,
    expectation: state.expectation && {
      seconds: state.expectation.seconds,
      requestsPerSecond: state.expectation.requestsPerSecond,
    },
    warnings: state.warnings,
    metrics: state.metrics,
    startedAt: new Date(state.startedAt).toISOString(),
    endedAt: state.endedAt === null ? null : new Date(state.endedAt).toISOString(),
    withdrawMs: withdrawMsOf(state),
    gapMs: gapOf(state.recreation),
    version,
  }
}

function processesOf(state: RolloutState): Readonly<Record<string, number>> {
  const variants = Object.entries(wantedPolicy(state).variants)
  return Object.fromEntries(
    variants.flatMap(([variant, placed]) => (placed ? [[variant, placed.endpoints.length]] : [])),
  )
}

function gapOf(recreation: Recreation | null): number | null {
  if (recreation === null || recreation.closedAt === null || recreation.openedAt === null) return null
  return recreation.openedAt - recreation.closedAt + (recreation.earlierGapMs ?? 0)
}

/** Where nothing ran beside the candidate the route was closed first, and the rollout was over when the old version ran again. */
function withdrawMsOf({ withdrawnAt, endedAt, recreation }: RolloutState): number | null {
  if (withdrawnAt === null || endedAt === null) return null
  const closedAt = recreation?.closedAt ?? 0
  return (closedAt > withdrawnAt ? closedAt : endedAt) - withdrawnAt
}
