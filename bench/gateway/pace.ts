import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeConfig, type Bench, type Target } from './bench.ts'
import type { Load } from './load.ts'
import { isInstalled, LOAD_CORE } from './processes.ts'

/** Latency at a rate that does not depend on the answers. */
export type Pace = Readonly<Record<'perSecond' | 'p50Ms' | 'p99Ms', number>>

export interface PacedLoad extends Load {
  readonly perSecond: number
}

/** nghttp2's load generator: the only one of Debian's with a rate that costs its core little. */
export const PACER = 'h2load'

const CONNECTIONS = 32
/** The shortest that h2load takes. */
const SHORTEST_STAGGER_MS = 100
/** After the last connection is open. */
const SETTLE_SECONDS = 0.3

/**
 * Asks at a fixed rate over 32 connections that take turns evenly: opened at the same time they would all ask at the same
 * moment, and what is measured would be the queue of 32. Counted is the time in which all of them are at work. A request that
 * fails makes the whole of it BROKEN: behind a proxy that cannot take a body at once, h2load may stop in the midst of it for good.
 */
export async function measurePace(bench: Bench, url: string, load: PacedLoad): Promise<Pace> {
  const { bytes, path, perSecond } = load
  const each = perSecond / CONNECTIONS
  const staggerMs = staggerFor(1000 / each)
  const from = (staggerMs * CONNECTIONS) / 1000 + SETTLE_SECONDS
  const to = from + bench.seconds
  const log = join(bench.dir, 'pace.log')
  rmSync(log, { force: true })
  const body = writeConfig(bench, `body-${bytes}`, 'x'.repeat(bytes))
  const args = ['--h1', '-c', CONNECTIONS, '-r', 1, `--rate-period=${staggerMs}ms`]
  args.push('--rps', each.toFixed(3), '-n', CONNECTIONS * Math.ceil(each * to))
  args.push('-d', body, '-H', 'content-type: application/octet-stream', '-H', 'x-user-id: user-1')
  args.push(`--log-file=${log}`, url + path)
  const limit = String(Math.ceil(2 * to))
  const output = await bench.processes
    .run(LOAD_CORE, 'timeout', [limit, PACER, ...args.map(String)])
    .catch((error: Error) => error.message)
  if (!output.includes(' 0 failed, 0 errored, 0 timeout')) return BROKEN
  return summaryOf(readFileSync(log, 'utf8'), from, to)
}

/** What a part says that cannot be measured without a paced load; undefined where it can. */
export function withoutPacer(name: string): Target[] | undefined {
  if (isInstalled(PACER)) return undefined
  return [{ name, reached: '–', met: 'not measured', reason: `${PACER} is not installed` }]
}

const BROKEN: Pace = { perSecond: 0, p50Ms: Number.NaN, p99Ms: Number.NaN }

/** A proxy that does not keep up has a queue, and its latency says how long the measurement took. */
export function keepsUp(pace: Pace, perSecond: number): boolean {
  return pace.perSecond > 0.97 * perSecond
}

/** Milliseconds between the openings of connections, such that their requests, every `intervalMs` each, lie evenly apart. */
function staggerFor(intervalMs: number): number {
  let best = { staggerMs: SHORTEST_STAGGER_MS, gap: -1 }
  for (let staggerMs = SHORTEST_STAGGER_MS; staggerMs < SHORTEST_STAGGER_MS + 30; staggerMs++) {
    const phases = Array.from({ length: CONNECTIONS }, (_, n) => (n * staggerMs) % intervalMs).sort(
      (a, b) => a - b,
    )
    const gap = Math.min(...phases.map((phase, n) => (phases[n + 1] ?? intervalMs) - phase))
    if (gap > best.gap) best = { staggerMs, gap }
  }
  return best.staggerMs
}

/** Of lines "start in µs, status, duration in µs"; `from` and `to` in seconds after the first. */
function summaryOf(log: string, from: number, to: number): Pace {
  const rows = log
    .trimEnd()
    .split('\n')
    .map(line => line.split('\t').map(Number))
  const first = rows.reduce((earliest, [at = 0]) => Math.min(earliest, at), Infinity)
  const counted = rows.filter(([at = 0]) => at >= first + from * 1e6 && at < first + to * 1e6)
  const sorted = Float64Array.from(counted, ([, , micros = 0]) => micros / 1000).sort()
  const quantile = (q: number) => sorted[Math.floor(q * sorted.length)] ?? Number.NaN
  return { perSecond: sorted.length / (to - from), p50Ms: quantile(0.5), p99Ms: quantile(0.99) }
}
