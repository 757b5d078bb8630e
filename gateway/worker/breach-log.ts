import type { Log } from '../../lib/log.ts'
import type { Answer } from './answer.ts'
import type { Route } from './policy.ts'
import { whyNoPrediction } from './prediction-contract.ts'

/** Of one variant at a time: at full load a broken version would drown the log. */
const ONCE_IN_MS = 10_000

/** Tells the operator which part of an answer breaks the prediction contract; the metrics only say that it does. */
export interface BreachLog {
  tell(route: Route, answer: Answer): void
}

export function createBreachLog(log: Log, now: () => number): BreachLog {
  const toldAt = new Map<string, number>()
  return {
    tell({ name }, { variant, payload }) {
      const key = `${name} ${variant.name}`
      if (now() - (toldAt.get(key) ?? -Infinity) < ONCE_IN_MS) return
      toldAt.set(key, now())
      const reason = whyNoPrediction(payload.toString('utf8'))
      log.warn({ route: name, variant: variant.name, reason }, 'an answer breaks the prediction contract')
    },
  }
}
