import type { Clock } from '../../lib/clock.ts'
import type { Answer, Outbox } from '../alerts/outbox.ts'
import { eachLookKey, holdAtGates } from './hook-gates.ts'
import { hooksDue, type HookCall } from './hook-messages.ts'
import { stepKey, type HookWords } from './hook-step.ts'
import type { RolloutState } from './rollout-state.ts'
import type { RolloutStore, StoredRollout } from './rollout-store.ts'
import { planOf } from './strategies/plan.ts'

const DAY_MS = 24 * 3_600_000

export type Hooks = ReturnType<typeof createHooks>
/** Hears of a rollout that was created or changed, inside the transaction that persists it. */
export type ChangeListener = (before: StoredRollout | undefined, after: StoredRollout) => void

/** A rollout's webhooks: what is decided in hook-gates.ts and hook-messages.ts meets the outbox here. */
export function createHooks({ outbox, clock }: { readonly outbox: Outbox; readonly clock: Clock }) {
  return {
    /** What webhooks said that decide. */
    words(rollout: StoredRollout): HookWords | undefined {
      if (!hasHooks(rollout)) return undefined
      return wordsIn(rollout, outbox.answers(`${rollout.name}/`))
    },
    /** What becomes of the machine's decision where webhooks have yet to agree. */
    hold({ name, state, file }: StoredRollout, next: RolloutState): RolloutState {
      const { webhooks, interval } = file.spec.analysis
      if (webhooks.length === 0) return next
      const answers = outbox.answers(`${name}/`)
      return holdAtGates(state, next, { name, webhooks, answers, now: clock.now(), intervalMs: interval })
    },
    changed(before: StoredRollout | undefined, after: StoredRollout): void {
      if (!hasHooks(after)) return
      const { name, route, file, state, changes } = after
      const { interval } = file.spec.analysis
      const about = { name, route, spec: file.spec, before: before?.state, after: state, changes }
      const due = hooksDue({ ...about, now: clock.now() })
      for (const prefix of due.close) outbox.close(prefix)
      for (const call of due.tell) outbox.tell({ ...sendable(name, call), keepTryingMs: DAY_MS })
      for (const call of due.ask) outbox.ask(sendable(name, call))
      for (const call of due.askEachLook) outbox.ask({ ...sendable(name, call), repeatMs: interval })
    },
  }
}

function hasHooks({ file: { spec }, state }: StoredRollout): boolean {
  return spec.analysis.webhooks.length > 0 || planOf(spec, state).steps.some(step => 'hook' in step)
}

function wordsIn(
  { name, file: { spec }, state }: StoredRollout,
  answers: ReadonlyMap<string, Answer>,
): HookWords {
  const asked = spec.analysis.webhooks.find(
    hook => hook.type === 'rollback' && answers.get(eachLookKey(name, hook))?.passed === true,
  )
  const steps = planOf(spec, state).steps.flatMap((_, index): [number, Answer][] => {
    const answer = answers.get(stepKey(name, index))
    return answer === undefined ? [] : [[index, answer]]
  })
  return { rollbackAskedBy: asked?.name, steps: new Map(steps) }
}

function sendable(rollout: string, { key, name, hook, payload }: HookCall) {
  const { url, timeout } = hook
  return {
    key,
    lane: `hook/${rollout}/${name}`,
    target: { kind: 'url', url, timeoutMs: timeout } as const,
    body: payload,
  }
}

/** The store, telling each change on: whoever decides, the reconciler or a person, it is told in the decision's own commit. */
export function tellChanges(rollouts: RolloutStore, listeners: readonly ChangeListener[]): RolloutStore {
  function told(name: string, write: () => void): void {
    const before = rollouts.get(name)
    write()
    const after = rollouts.get(name)
    if (after) for (const listener of listeners) listener(before, after)
  }
  return {
    ...rollouts,
    create: rollout => told(rollout.name, () => rollouts.create(rollout)),
    save: (name, state) => told(name, () => rollouts.save(name, state)),
  }
}
