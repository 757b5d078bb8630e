import { fileURLToPath } from 'node:url'
import type { Bench } from './bench.ts'
import type { Load } from './load.ts'
import { LOAD_CORE } from './processes.ts'

/** Latency at a rate that does not depend on the answers. */
export type Pace = Readonly<Record<'perSecond' | 'p50Ms' | 'p99Ms', number>>

export interface PacedLoad extends Load {
  readonly perSecond: number
}

const CONNECTIONS = 32
const PACED_LOAD = fileURLToPath(new URL('./paced-load.ts', import.meta.url))

/** Asks at a fixed rate over 32 connections. Errors are an error. */
export async function measurePace(bench: Bench, url: string, load: PacedLoad): Promise<Pace> {
  const { bytes, path, perSecond } = load
  const settings = {
    url: `${url}${path}`,
    bytes,
    perSecond,
    connections: CONNECTIONS,
    seconds: bench.seconds,
  }
  const args = [PACED_LOAD, JSON.stringify(settings)]
  const output = await bench.processes.run(LOAD_CORE, process.execPath, args)
  const { errors, ...pace } = JSON.parse(output) as Pace & { errors: number }
  if (errors > 0) throw new Error(`${url}${path}: ${errors} requests failed`)
  return pace
}

/** A proxy that does not keep up has a queue, and its latency says how long the measurement took. */
export function keepsUp(pace: Pace, perSecond: number): boolean {
  return pace.perSecond > 0.97 * perSecond
}
