import { createGate } from './gate.ts'
import type { Judge } from './judge.ts'
import type { JudgeOptions } from './options.ts'

/** What a judge answers that allows no weights: it decides once, at the end. */
export function createSilentGate(options: JudgeOptions) {
  return {
    bounds: () => ({ failure: 1 }),
    allows: () => false,
    forecast: () => undefined,
    standings: createGate(options).standings,
  } satisfies Partial<Judge>
}
