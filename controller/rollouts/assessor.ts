import type { RouteStatus } from '../../client/gateway.ts'
import type { Decision, Look } from '../../contract/history.ts'
import { weightsBp } from '../../contract/policy.ts'
import { standingVariants } from './arms.ts'
import { createTrafficMeter } from '../evidence/traffic.ts'
import { ruleOnEjection, type EjectionFacts } from '../judge/ejection.ts'
import type { Bounds } from '../judge/gate.ts'
import { createJudgeFor } from '../judge/judge-for.ts'
import type { HarmEvidence } from '../judge/verdict.ts'
import type { Seen } from './observe.ts'
import type { HookWords } from './hook-step.ts'
import { withOutlook } from './outlook.ts'
import { nextState } from './rollout-machine.ts'
import { replacedOf } from './replicas.ts'
import { isFirst, isJudged, type RolloutState } from './rollout-state.ts'
import type { StoredRollout } from './rollout-store.ts'
import { saysAll, wantedPolicy } from './wanted-policy.ts'

export interface Figures {
  readonly evidence: HarmEvidence
  readonly bounds: Bounds
}

export type Assessor = ReturnType<typeof createAssessor>

/** Makes of what was seen of one rollout its next state. Beyond the state it remembers the looks: `past` brings it up to date. */
export function createAssessor({ file, state }: StoredRollout, past: readonly Look[]) {
  const judge = createJudgeFor(file.spec, {
    settleSeconds: state.settleSeconds,
    processes: replacedOf(state),
    comparator: isFirst(state) ? null : undefined,
  })
  const traffic = createTrafficMeter()
  for (const look of past) {
    judge.step(look)
    traffic.step(look)
  }

  function assess(current: RolloutState, seen: Seen, hooks?: HookWords): RolloutState {
    if (seen.look !== null) traffic.step(seen.look)
    const decision = seen.look !== null && isJudged(current) ? judge.step(seen.look) : null
    const next = nextState(
      current,
      {
        now: seen.now,
        policyVersion: seen.policy?.version ?? null,
        policyAsWanted: seen.policy !== null && saysAll(seen.policy.policy, wantedPolicy(current)),
        policyWeightBp: seen.policy === null ? null : (weightsBp(seen.policy.policy)['candidate'] ?? null),
        policyWeightsBp: seen.policy === null ? undefined : weightsBp(seen.policy.policy),
        candidate: seen.candidate,
        arms: seen.arms,
        stableProcess: seen.stableProcess,
        baseline: seen.baseline,
        ...rulingsOn(current, seen.status, decision ?? current.lastDecision),
        stableIsOut: seen.status === null ? undefined : isOut(seen.status, 'stable'),
        decision,
        hooks,
        holds: decision === null ? [] : judge.holds(),
        metrics: decision === null ? [] : judge.metrics(),
        allows: decision === null ? () => false : judge.allows,
      },
      file.spec,
    )
    if (seen.look === null || !(isJudged(next) || next.phase === 'Pending')) return next
    return withOutlook(next, { now: seen.now, traffic: traffic.read(), judge }, file.spec)
  }

  return {
    assess,
    /** What the judge knows after the last look, metric by metric. */
    figures: (): Figures => ({ evidence: judge.evidence(), bounds: judge.bounds() }),
  }
}

function isOut({ endpoints }: RouteStatus, variant: string): boolean {
  const own = endpoints.filter(endpoint => endpoint.variant === variant)
  return own.length > 0 && own.every(({ state }) => state !== 'up')
}

/** Of several arms each is ruled on by itself. */
function rulingsOn(state: RolloutState, status: RouteStatus | null, decision: Decision | null) {
  const ofCandidate = ruleOnEjection(ejectionFacts('candidate', status, decision))
  if (state.experiment === null || state.experiment.others.length === 0) return { ejection: ofCandidate }
  const rulings = standingVariants(state).map(variant => {
    const e = decision?.experiment?.arms.find(arm => arm.variant === variant)?.harm ?? 1
    return [
      variant,
      ruleOnEjection({ ...ejectionFacts(variant, status, decision && { ...decision, e }), who: variant }),
    ] as const
  })
  const ejections = Object.fromEntries(rulings)
  const held = rulings.map(([, ruling]) => ruling).find(({ action }) => action === 'hold')
  return { ejection: held ?? ({ action: 'none' } as const), ejections }
}

/** All of a variant's endpoints are out, or on trial after having been out. */
function ejectionFacts(
  variant: string,
  status: RouteStatus | null,
  decision: Pick<Decision, 'e' | 'threshold'> | null,
): EjectionFacts {
  const of = (variant: string) => status?.endpoints.filter(endpoint => endpoint.variant === variant) ?? []
  const candidate = of(variant)
  return {
    candidateEjected:
      candidate.length > 0 && candidate.every(({ state }) => state === 'out' || state === 'trial'),
    stableHealthy: of('stable').some(({ state }) => state === 'up'),
    failedTrials: Math.min(...candidate.map(({ failedTrials }) => failedTrials)),
    e: decision?.e ?? 1,
    threshold: decision?.threshold ?? Infinity,
  }
}
