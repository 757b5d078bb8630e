import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Pool } from 'undici'
import { WeirError } from '../../contract/errors.ts'

export interface LoadResult {
  readonly sent: number
  readonly answered: number
  /** Neither 2xx nor still waiting: what a client would call a failure. */
  readonly failed: number
  /** Answers per variant that gave them. */
  readonly byVariant: Readonly<Record<string, number>>
  /** Requests that another variant answered because the chosen one failed. */
  readonly fallbacks: number
  /** Times of the last answers, milliseconds, sorted. */
  readonly recentMs: readonly number[]
  readonly firstFailure: string | null
}

export interface SteadyLoad {
  snapshot(): LoadResult
  /** Sends nothing more and resolves when everything was answered. */
  stop(): Promise<LoadResult>
}

export interface LoadOptions {
  readonly url: string
  readonly photos: readonly Buffer[]
  readonly requestsPerSecond: number
  /** Users that take turns as x-user-id; 0 sends none. */
  readonly users: number
}

const TIMEOUT_MS = 30_000
const MAX_IN_FLIGHT = 500
const RECENT = 200

/**
 * Sends photos at a steady rate whatever the answers take (an open loop: a slow server gets no rest), in turn over the photos
 * and users given. Bounded: beyond MAX_IN_FLIGHT unanswered requests it waits.
 */
export function startSteadyLoad({ url, photos, requestsPerSecond, users }: LoadOptions): SteadyLoad {
  const pool = new Pool(url, {
    connections: 64,
    pipelining: 1,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  })
  const counts = { sent: 0, answered: 0, failed: 0, fallbacks: 0 }
  const byVariant: Record<string, number> = {}
  const recent: number[] = []
  const inFlight = new Set<Promise<void>>()
  let firstFailure: string | null = null

  async function sendOne(n: number): Promise<void> {
    const since = performance.now()
    const headers = { 'content-type': 'image/jpeg', ...(users > 0 && { 'x-user-id': `user-${n % users}` }) }
    try {
      const body = photos[n % photos.length] ?? null
      const answer = await pool.request({ path: '/predict', method: 'POST', body, headers })
      const text = await answer.body.text()
      counts.answered++
      if (answer.statusCode >= 300) fail(`${answer.statusCode} ${text.slice(0, 200)}`)
      const variant = String(answer.headers['x-weir-variant'] ?? 'none')
      byVariant[variant] = (byVariant[variant] ?? 0) + 1
      if (answer.headers['x-weir-fallback'] !== undefined) counts.fallbacks++
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error))
    }
    recent.push(performance.now() - since)
    if (recent.length > RECENT) recent.shift()
  }

  function fail(why: string): void {
    counts.failed++
    firstFailure ??= why
  }

  const startedAt = performance.now()
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * requestsPerSecond)
    while (counts.sent < due && inFlight.size < MAX_IN_FLIGHT) {
      const request = sendOne(counts.sent++).finally(() => inFlight.delete(request))
      inFlight.add(request)
    }
  }, 5)

  const snapshot = (): LoadResult => ({
    ...counts,
    byVariant: { ...byVariant },
    recentMs: recent.toSorted((a, b) => a - b),
    firstFailure,
  })
  return {
    snapshot,
    async stop() {
      clearInterval(timer)
      await Promise.all(inFlight)
      await pool.close()
      return snapshot()
    },
  }
}

/** The photos in a folder and the folders below it. Throws when there is none. */
export async function readPhotos(dir: string): Promise<Buffer[]> {
  const names = await readdir(dir, { recursive: true })
  const photos = names.filter(name => /\.jpe?g$/i.test(name)).toSorted()
  if (photos.length === 0) throw new WeirError('not_found', `no .jpg photos in ${dir}`)
  return Promise.all(photos.map(name => readFile(join(dir, name))))
}

/** The value below which the share `quantile` of sorted values lies (nearest rank); NaN of none. */
export function quantileOf(sorted: readonly number[], quantile: number): number {
  return sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? Number.NaN
}
