import type { RolloutSpec } from '../../contract/rollout.ts'
import type { HookPayload, StepHook, Webhook } from '../../contract/webhook.ts'
import { describeChanges, type Change } from './changes.ts'
import type { Gate } from './hook-gate.ts'
import { eachLookKey, gateKey, questionKey } from './hook-gates.ts'
import { stepKey } from './hook-step.ts'
import { isJudged, isOver, type RolloutState } from './rollout-state.ts'
import { currentStep } from './steps.ts'
import { planOf } from './strategies/plan.ts'

export interface HookCall {
  readonly key: string
  /** What tells it from the rollout's other webhooks. */
  readonly name: string
  readonly hook: Pick<Webhook, 'url' | 'timeout'>
  readonly payload: HookPayload
}

/** What webhooks are to hear because a rollout went from one state to another. */
export interface DueHooks {
  /** Told once. */
  readonly tell: readonly HookCall[]
  /** Asked until they say yes. */
  readonly ask: readonly HookCall[]
  /** Asked at each look. */
  readonly askEachLook: readonly HookCall[]
  /** Questions whose keys begin so are asked no longer. */
  readonly close: readonly string[]
}

interface Transition {
  readonly name: string
  readonly route: string
  readonly spec: RolloutSpec
  /** Undefined: it was created. */
  readonly before: RolloutState | undefined
  readonly after: RolloutState
  /** Of the rollout, this one included; tells one transition from the others. */
  readonly changes: number
  readonly now: number
}

/** Pure. Which hooks are due for a transition, whoever decided it. */
export function hooksDue(transition: Transition): DueHooks {
  const { before, after } = transition
  const opened = after.gate && !isSameGate(before?.gate, after.gate) ? after.gate : null
  const beginsLooks = isJudged(after) && !(before && isJudged(before))
  return {
    tell: [...events(transition), ...afterwards(transition)],
    ask: [...(opened === null ? [] : questions(transition, opened)), ...stepEntered(transition)],
    askEachLook: beginsLooks ? ofType(transition, 'rollout', 'rollback').map(eachLook(transition)) : [],
    close: closed(transition),
  }
}

function isSameGate(before: Gate | null | undefined, after: Gate): boolean {
  return before?.type === after.type && before.move === after.move
}

function ofType({ spec }: Transition, ...types: readonly Webhook['type'][]): readonly Webhook[] {
  return spec.analysis.webhooks.filter(({ type }) => types.includes(type))
}

function events(transition: Transition): readonly HookCall[] {
  const { name, before, after, changes, now } = transition
  const told = before ? describeChanges(before, after) : [{ action: 'start', reason: after.message }]
  return ofType(transition, 'event').flatMap(hook =>
    told.map((change, index) => ({
      key: `${name}/event/${changes}.${index}/${hook.name}`,
      name: hook.name,
      hook,
      payload: payloadOf(transition, hook, {
        eventMessage: `${change.action}: ${change.reason}`,
        eventType: isWarning(change, after) ? 'Warning' : 'Normal',
        timestamp: String(now),
        action: change.action,
        weight: inPercent(after),
        ...(change.action === 'announce' ? interruptionOf(after) : {}),
      }),
    })),
  )
}

function interruptionOf({ recreation }: RolloutState): Readonly<Record<string, string>> {
  const { notice, interruptionAt } = recreation ?? {}
  return {
    ...(typeof notice === 'string' && { notice }),
    ...(interruptionAt !== undefined && { interruptionAt: new Date(interruptionAt).toISOString() }),
  }
}

const WARNINGS: ReadonlySet<string> = new Set([
  'withdraw',
  'withdraw-arm',
  'rolled-back',
  'aborted',
  'failed',
  'warn',
])

function isWarning({ action }: Change, { cause }: RolloutState): boolean {
  const planned = cause === 'pause-step' || cause === 'approval' || cause === 'operator'
  return WARNINGS.has(action) || (action === 'pause' && !planned)
}

function afterwards(transition: Transition): readonly HookCall[] {
  const { name, before, after } = transition
  if (!isOver(after) || (before && isOver(before))) return []
  return ofType(transition, 'post-rollout').map(hook => ({
    key: `${name}/post-rollout/${hook.name}`,
    name: hook.name,
    hook,
    payload: payloadOf(transition, hook),
  }))
}

function questions(transition: Transition, gate: Gate): readonly HookCall[] {
  if (gate.type === 'rollout') return [] // asked at each look as it is
  return ofType(transition, gate.type).map(hook => ({
    key: questionKey(transition.name, gate, hook.name),
    name: hook.name,
    hook,
    payload: payloadOf(transition, hook, {
      before: gate.move,
      weight: inPercent(transition.after),
      nextWeight: String(gate.weight),
    }),
  }))
}

/** The step is a question, put in the commit that enters it. */
function stepEntered(transition: Transition): readonly HookCall[] {
  const { name, spec, before, after } = transition
  const isNew = !(before && isJudged(before) && before.step === after.step)
  const view = currentStep(after, spec)
  if (view.kind !== 'hook' || !isNew || !isJudged(after)) return []
  const step = `${after.step + 1} of ${planOf(spec, after).steps.length}`
  const payload = payloadOf(transition, namedStep(after.step, view.hook), { step, weight: inPercent(after) })
  return [{ key: stepKey(name, after.step), name: `step/${after.step + 1}`, hook: view.hook, payload }]
}

function namedStep(step: number, { metadata }: StepHook) {
  return { name: `step-${step + 1}`, type: 'step', metadata }
}

function eachLook(transition: Transition) {
  return (hook: Webhook): HookCall => ({
    key: eachLookKey(transition.name, hook),
    name: hook.name,
    hook,
    payload: payloadOf(transition, hook),
  })
}

function closed({ name, before, after }: Transition): readonly string[] {
  if (after.phase !== 'Pending' && !isJudged(after)) return [`${name}/`]
  const gate = before?.gate
  const isLeft = gate && gate.type !== 'rollout' && !(after.gate && isSameGate(gate, after.gate))
  return [
    ...(isLeft ? [gateKey(name, gate)] : []),
    ...(before && before.step !== after.step ? [stepKey(name, before.step)] : []),
  ]
}

function inPercent({ weightBp }: RolloutState): string {
  return String(weightBp / 100)
}

function payloadOf(
  { name, route, after }: Transition,
  hook: Pick<Webhook, 'name' | 'metadata'> & { readonly type: string },
  more: Readonly<Record<string, string>> = {},
): HookPayload {
  const { phase, model, candidate } = after
  const about = { route, model, version: candidate.version, hook: hook.name, type: hook.type }
  return {
    name,
    namespace: 'default',
    phase,
    checksum: candidate.digest,
    metadata: { ...about, ...more, ...hook.metadata },
  }
}
