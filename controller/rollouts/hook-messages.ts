import type { HookPayload, Webhook } from '../../contract/webhook.ts'
import { describeChanges, type Change } from './changes.ts'
import type { Gate } from './hook-gate.ts'
import { eachLookKey, gateKey, questionKey } from './hook-gates.ts'
import { isJudged, isOver, type RolloutState } from './rollout-state.ts'

export interface HookCall {
  readonly key: string
  readonly hook: Webhook
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
  readonly webhooks: readonly Webhook[]
  /** Undefined: it was created. */
  readonly before: RolloutState | undefined
  readonly after: RolloutState
  /** Of the rollout after it; tells one transition from the others. */
  readonly version: number
  readonly now: number
}

/** Pure. Which hooks are due for a transition, whoever decided it. */
export function hooksDue(transition: Transition): DueHooks {
  const { before, after } = transition
  const opened = after.gate && !isSameGate(before?.gate, after.gate) ? after.gate : null
  const beginsLooks = isJudged(after) && !(before && isJudged(before))
  return {
    tell: [...events(transition), ...afterwards(transition)],
    ask: opened === null ? [] : questions(transition, opened),
    askEachLook: beginsLooks ? ofType(transition, 'rollout', 'rollback').map(eachLook(transition)) : [],
    close: closed(transition),
  }
}

function isSameGate(before: Gate | null | undefined, after: Gate): boolean {
  return before?.type === after.type && before.move === after.move
}

function ofType({ webhooks }: Transition, ...types: readonly Webhook['type'][]): readonly Webhook[] {
  return webhooks.filter(({ type }) => types.includes(type))
}

function events(transition: Transition): readonly HookCall[] {
  const { name, before, after, version, now } = transition
  const changes = before ? describeChanges(before, after) : [{ action: 'start', reason: after.message }]
  return ofType(transition, 'event').flatMap(hook =>
    changes.map((change, index) => ({
      key: `${name}/event/${version}.${index}/${hook.name}`,
      hook,
      payload: payloadOf(transition, hook, {
        eventMessage: `${change.action}: ${change.reason}`,
        eventType: isWarning(change, after) ? 'Warning' : 'Normal',
        timestamp: String(now),
        action: change.action,
        weight: inPercent(after),
      }),
    })),
  )
}

const WARNINGS: ReadonlySet<string> = new Set(['withdraw', 'rolled-back', 'aborted', 'failed', 'warn'])

function isWarning({ action }: Change, { cause }: RolloutState): boolean {
  const planned = cause === 'pause-step' || cause === 'approval' || cause === 'operator'
  return WARNINGS.has(action) || (action === 'pause' && !planned)
}

function afterwards(transition: Transition): readonly HookCall[] {
  const { name, before, after } = transition
  if (!isOver(after) || (before && isOver(before))) return []
  return ofType(transition, 'post-rollout').map(hook => ({
    key: `${name}/post-rollout/${hook.name}`,
    hook,
    payload: payloadOf(transition, hook),
  }))
}

function questions(transition: Transition, gate: Gate): readonly HookCall[] {
  if (gate.type === 'rollout') return [] // asked at each look as it is
  return ofType(transition, gate.type).map(hook => ({
    key: questionKey(transition.name, gate, hook.name),
    hook,
    payload: payloadOf(transition, hook, {
      before: gate.move,
      weight: inPercent(transition.after),
      nextWeight: String(gate.weight),
    }),
  }))
}

function eachLook(transition: Transition) {
  return (hook: Webhook): HookCall => ({
    key: eachLookKey(transition.name, hook),
    hook,
    payload: payloadOf(transition, hook),
  })
}

function closed({ name, before, after }: Transition): readonly string[] {
  if (after.phase !== 'Pending' && !isJudged(after)) return [`${name}/`]
  const gate = before?.gate
  return gate && gate.type !== 'rollout' && !(after.gate && isSameGate(gate, after.gate))
    ? [gateKey(name, gate)]
    : []
}

function inPercent({ weightBp }: RolloutState): string {
  return String(weightBp / 100)
}

function payloadOf(
  { name, route, after }: Transition,
  hook: Webhook,
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
