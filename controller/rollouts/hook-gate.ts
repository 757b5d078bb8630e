import type { HookType } from '../../contract/webhook.ts'

export type GateType = Extract<
  HookType,
  'confirm-rollout' | 'pre-rollout' | 'rollout' | 'confirm-traffic-increase' | 'confirm-promotion'
>

/** A move that was decided and waits for others to agree. */
export interface Gate {
  readonly type: GateType
  /** Which move of this kind, in words; a yes to one is none to another. */
  readonly move: string
  /** The candidate's weight after it, percent. */
  readonly weight: number
  /** Those that have not said yes, and what they said. */
  readonly waiting: readonly { readonly hook: string; readonly reason: string | null }[]
}

/** For `weir rollout explain`. */
export function explainGate({ type, move, waiting }: Gate): readonly string[] {
  return waiting.map(({ hook, reason }) => {
    const said = reason === null ? 'it has not answered yet' : `it did not say yes: ${reason}`
    return `waiting for the webhook "${hook}" (${type}) before ${move}; ${said}`
  })
}
