import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Processes } from './processes.ts'

/** What every part of the bench works with. */
export interface Bench {
  readonly seconds: number
  readonly rounds: number
  /** One size, no warm-up, fewer routes and connections: that it works and roughly how fast, not more. */
  readonly short: boolean
  readonly processes: Processes
  /** An origin whose answers cost next to nothing. */
  readonly upstream: string
  /** Where configurations go. */
  readonly dir: string
  readonly print: (text: string) => void
}

/** A target of the gateway's, and what was reached. */
export interface Target {
  readonly name: string
  readonly reached: string
  readonly met: boolean | 'not measured'
  /** Why it was missed or could not be measured. */
  readonly reason?: string
}

/** Every subject once a round, the order turned round each time, so that a drift of the machine favours none. */
export async function alternate<S, R>(
  bench: Bench,
  subjects: readonly S[],
  measure: (subject: S) => Promise<R>,
): Promise<Map<S, R[]>> {
  const results = new Map<S, R[]>(subjects.map(subject => [subject, []]))
  for (let round = 0; round < bench.rounds; round++)
    for (const subject of round % 2 ? subjects.toReversed() : subjects)
      results.get(subject)?.push(await measure(subject))
  return results
}

/** The median of each number, over the rounds. */
export function medians<R extends Readonly<Record<string, number>>>(rounds: readonly R[]): R {
  const [first] = rounds
  if (first === undefined) throw new Error('nothing was measured')
  const keys = Object.keys(first)
  return Object.fromEntries(
    keys.map(key => [key, median(rounds.map(round => round[key] ?? Number.NaN))]),
  ) as R
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function writeConfig(bench: Bench, name: string, text: string): string {
  const path = join(bench.dir, name)
  writeFileSync(path, text)
  return path
}

/** A port that the system has free now; for programs that cannot be given 0. */
export async function systemPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

const START_LIMIT_MS = 30_000

export async function untilAnswering(url: string, limitMs = START_LIMIT_MS): Promise<void> {
  const until = performance.now() + limitMs
  while (performance.now() < until) {
    const response = await fetch(url).catch(() => undefined) // not up yet
    await response?.body?.cancel()
    if (response?.ok) return
    await pause(50)
  }
  throw new Error(`${url} does not answer`)
}
