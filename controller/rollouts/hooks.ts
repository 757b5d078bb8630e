import type { Clock } from '../../lib/clock.ts'
import type { Outbox } from '../alerts/outbox.ts'
import { holdAtGates } from './hook-gates.ts'
import { hooksDue, type HookCall } from './hook-messages.ts'
import type { RolloutState } from './rollout-state.ts'
import type { RolloutStore, StoredRollout } from './rollout-store.ts'

const DAY_MS = 24 * 3_600_000

export type Hooks = ReturnType<typeof createHooks>
/** Hears of a rollout that was created or changed, inside the transaction that persists it. */
export type ChangeListener = (before: StoredRollout | undefined, after: StoredRollout) => void

/** A rollout's webhooks: what is decided in hook-gates.ts and hook-messages.ts meets the outbox here. */
export function createHooks({ outbox, clock }: { readonly outbox: Outbox; readonly clock: Clock }) {
  return {
    /** What becomes of the machine's decision where webhooks have yet to agree. */
    hold({ name, state, file }: StoredRollout, next: RolloutState): RolloutState {
      const { webhooks, interval } = file.spec.analysis
      if (webhooks.length === 0) return next
      const answers = outbox.answers(`${name}/`)
      return holdAtGates(state, next, { name, webhooks, answers, now: clock.now(), intervalMs: interval })
    },
    changed(before: StoredRollout | undefined, { name, route, file, state, version }: StoredRollout): void {
      const { webhooks, interval } = file.spec.analysis
      if (webhooks.length === 0) return
      const about = { name, route, webhooks, before: before?.state, after: state, version }
      const due = hooksDue({ ...about, now: clock.now() })
      for (const prefix of due.close) outbox.close(prefix)
      for (const call of due.tell) outbox.tell({ ...sendable(name, call), keepTryingMs: DAY_MS })
      for (const call of due.ask) outbox.ask(sendable(name, call))
      for (const call of due.askEachLook) outbox.ask({ ...sendable(name, call), repeatMs: interval })
    },
  }
}

function sendable(rollout: string, { key, hook, payload }: HookCall) {
  const { name, url, timeout } = hook
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
