import type { Webhook } from '../../contract/webhook.ts'
import type { Answer } from '../alerts/outbox.ts'
import { hasUsers } from './arms.ts'
import type { Gate, GateType } from './hook-gate.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'

// Which webhooks a rollout waits for before a move that was decided, and what it is until they say yes.

/** The key of a question in the outbox. */
export function questionKey(rollout: string, { type, move }: Pick<Gate, 'type' | 'move'>, hook: string) {
  return `${gateKey(rollout, { type, move })}${hook}`
}

export function gateKey(rollout: string, { type, move }: Pick<Gate, 'type' | 'move'>): string {
  return `${rollout}/${type}/${move}/`
}

/** Asked at each look, as long as the candidate may have traffic. */
const EACH_LOOK = 'each look'

export function eachLookKey(rollout: string, { type, name }: Webhook): string {
  return `${rollout}/${type}/${EACH_LOOK}/${name}`
}

interface GateFacts {
  readonly name: string
  readonly webhooks: readonly Webhook[]
  /** What the questions of this rollout were answered. */
  readonly answers: ReadonlyMap<string, Answer>
  readonly now: number
  readonly intervalMs: number
}

/**
 * `next` is what the machine decided. Where a webhook has yet to agree, the rollout stays where it is and says so; what was
 * learned at the look is kept. Nothing ever waits before a withdrawal, nor before what a person decides. Pure.
 */
export function holdAtGates(before: RolloutState, next: RolloutState, facts: GateFacts): RolloutState {
  if (next.phase !== 'Pending' && !(isJudged(before) || isJudged(next))) return { ...next, gate: null }
  const moves = movesBetween(before, next)
  const gate = moves.map(move => ({ ...move, waiting: stillWaiting(move, facts) })).find(isClosed)
  if (gate) return held(before, next, gate)
  if (moves.length > 0 || before.gate === null || hasMoved(before, next)) return { ...next, gate: null }
  // between looks the machine proposes no move: the one that was decided still waits
  const waiting = stillWaiting(before.gate, facts)
  if (waiting.length === 0) return { ...next, gate: null }
  return { ...next, gate: { ...before.gate, waiting }, message: before.message }
}

type Move = Omit<Gate, 'waiting'>

function movesBetween(before: RolloutState, next: RolloutState): readonly Move[] {
  const nextWeight = next.weightBp / 100
  if (before.phase === 'Pending') {
    const start: Move = { type: 'confirm-rollout', move: 'the start', weight: 0 }
    return isJudged(next)
      ? [start, { type: 'pre-rollout', move: 'the first request', weight: nextWeight }]
      : [start]
  }
  if (!isJudged(before)) return []
  if (next.phase === 'Promoting') {
    const move = `the promotion of policy ${before.policyVersion}`
    return ofTypes(['rollout', 'confirm-promotion'], move, 100)
  }
  const isMore = next.weightBp > before.weightBp || (hasUsers(next) && !hasUsers(before))
  const widens = isJudged(next) && isMore && next.cause !== 'manual-change'
  const move = `${nextWeight} % after policy ${before.policyVersion}`
  return widens ? ofTypes(['rollout', 'confirm-traffic-increase'], move, nextWeight) : []
}

function ofTypes(types: readonly GateType[], move: string, weight: number): readonly Move[] {
  return types.map(type => ({ type, move, weight }))
}

function stillWaiting(move: Move, facts: GateFacts): Gate['waiting'] {
  const { name, webhooks, answers } = facts
  return webhooks
    .filter(hook => hook.type === move.type)
    .flatMap(hook => {
      const recurring = move.type === 'rollout'
      const answer = answers.get(recurring ? eachLookKey(name, hook) : questionKey(name, move, hook.name))
      const agreed = answer?.passed === true && (!recurring || isFresh(answer, hook, facts))
      return agreed ? [] : [{ hook: hook.name, reason: answer?.reason ?? null }]
    })
}

/** A yes from before the controller was away says nothing about now. */
function isFresh({ answeredAt }: Answer, { timeout }: Webhook, { now, intervalMs }: GateFacts): boolean {
  return answeredAt !== null && now - answeredAt <= 2 * intervalMs + timeout
}

function isClosed({ waiting }: Gate): boolean {
  return waiting.length > 0
}

function held(before: RolloutState, next: RolloutState, gate: Gate): RolloutState {
  const { policyVersion, lastDecision, metrics, outlook, expectation, warnings } = next
  const learned = { policyVersion, lastDecision, metrics, outlook, expectation, warnings }
  const message = `waiting for ${gate.type} before ${gate.move}`
  return { ...before, ...learned, gate, message }
}

function hasMoved(before: RolloutState, next: RolloutState): boolean {
  return (
    before.phase !== next.phase ||
    before.cause !== next.cause ||
    before.step !== next.step ||
    before.weightBp !== next.weightBp
  )
}
