import { Agent } from 'undici'
import type { LoadSettings } from '../../../contract/gate.ts'
import type { Clock } from '../../../lib/clock.ts'
import { createGate, type Gate, type Measured } from './gate.ts'
import { ask, inParallel, requestsFor, type ServingRequest } from './serving-request.ts'

/** Requests as users would send them: how many are answered, and how fast. The first ones count like all others. */
export function createLoadGate(settings: LoadSettings, clock: Clock): Gate {
  return createGate('load', clock, async (subject, signal) => {
    const { requests, concurrent, requestTimeout: timeoutMs } = settings
    const kinds = await requestsFor(subject)
    const { endpoints } = subject
    return judgeLoad(await applyLoad({ kinds, endpoints, requests, concurrent, timeoutMs }, signal), settings)
  })
}

/** What became of one request. */
export interface Attempt {
  /** Null: no answer. */
  readonly status: number | null
  readonly timedOut: boolean
  /** Until the last byte of the answer, or until it was given up. */
  readonly ms: number
}

export interface Load {
  /** Sent in turn, to the endpoints in turn. */
  readonly kinds: readonly ServingRequest[]
  readonly endpoints: readonly string[]
  readonly requests: number
  readonly concurrent: number
  readonly timeoutMs: number
}

/** Sends all requests, so many at a time. Rejects when `signal` aborts. */
export async function applyLoad(load: Load, signal: AbortSignal): Promise<Attempt[]> {
  const { kinds, endpoints, requests, concurrent, timeoutMs } = load
  const agent = new Agent({ connections: concurrent })
  const numbers = Array.from({ length: requests }, (_, number) => number)
  try {
    return await inParallel(numbers, concurrent, async number => {
      signal.throwIfAborted()
      const kind = kinds[number % kinds.length]
      const endpoint = endpoints[number % endpoints.length]
      if (kind === undefined || endpoint === undefined) throw new Error('there is nothing to send')
      return attempt(endpoint, kind, { timeoutMs, signal, agent })
    })
  } finally {
    await agent.close()
  }
}

async function attempt(...asked: Parameters<typeof ask>): Promise<Attempt> {
  const since = performance.now()
  try {
    const { status } = await ask(...asked)
    return { status, timedOut: false, ms: performance.now() - since }
  } catch (error) {
    const ms = performance.now() - since
    return { status: null, timedOut: isTimeout(error), ms } // a request without an answer is what is counted here
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** Exactly the asked share of successes, and exactly the time limit, fail. */
export function judgeLoad(
  attempts: readonly Attempt[],
  { successAbove, p95BelowMs }: Pick<LoadSettings, 'successAbove' | 'p95BelowMs'>,
): Measured {
  const evidence = measureLoad(attempts)
  const { requests, succeeded, successRate, p95Ms } = evidence
  const enough = successRate > successAbove
  const fast = p95Ms !== null && p95Ms < p95BelowMs
  const success = `${succeeded} of ${requests} requests were answered with 2xx (${inPercent(successRate)}, must be above ${inPercent(successAbove)})`
  const speed =
    p95Ms === null
      ? 'none was answered at all'
      : `95 % of the answers took at most ${p95Ms.toFixed(0)} ms (must be below ${p95BelowMs} ms)`
  return { verdict: enough && fast ? 'pass' : 'fail', reason: `${success}; ${speed}`, evidence }
}

function measureLoad(attempts: readonly Attempt[]) {
  const succeeded = attempts.filter(({ status }) => status !== null && status >= 200 && status < 300).length
  const answered = attempts.filter(({ status }) => status !== null)
  const times = answered.map(({ ms }) => ms).toSorted((a, b) => a - b)
  const timedOut = attempts.filter(attempt => attempt.timedOut).length
  const byStatus = Map.groupBy(answered, ({ status }) => String(status))
  return {
    gate: 'load',
    requests: attempts.length,
    succeeded,
    timedOut,
    broken: attempts.length - answered.length - timedOut,
    successRate: attempts.length === 0 ? 0 : succeeded / attempts.length,
    p50Ms: nearestRank(times, 0.5),
    p95Ms: nearestRank(times, 0.95),
    maxMs: times.at(-1) ?? null,
    statuses: Object.fromEntries([...byStatus].map(([status, some]) => [status, some.length])),
  } as const
}

/** The smallest value that at least the share `quantile` of the sorted values does not exceed. */
function nearestRank(sorted: readonly number[], quantile: number): number | null {
  return sorted[Math.ceil(quantile * sorted.length) - 1] ?? null
}

function inPercent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`
}
