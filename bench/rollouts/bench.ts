import type { Target } from '../gateway/bench.ts'
import type { Processes } from '../gateway/processes.ts'

/** What every part works with. */
export interface RolloutBench {
  /** Every step of the machinery once, within seconds: that it works, not how well. */
  readonly short: boolean
  /** Of the parts that repeat rollouts; each has its own default. */
  readonly runs: number | undefined
  /** How many of them at a time. */
  readonly lanes: number | undefined
  /** What healthy rollouts in full have in `analysis.latency`, where it was asked for; the judge's defaults otherwise. */
  readonly latency: { readonly toleranceRatio?: number; readonly burst?: string }
  readonly processes: Processes
  /** For state, models and configurations; it goes when the bench ends. */
  readonly dir: string
  readonly print: (line: string) => void
}

export type Part = (bench: RolloutBench) => Promise<Target[]>

/** The middle one, or the lower of the two. */
export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN
}

/** Runs `work` for 0 to count - 1, so many at a time, each in a lane of its own. Results in the order of the numbers. */
export async function inLanes<R>(
  lanes: number,
  count: number,
  work: (number: number, lane: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  async function goAlong(lane: number): Promise<void> {
    while (next < count) {
      const number = next++
      results[number] = await work(number, lane)
    }
  }
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, (_, lane) => goAlong(lane)))
  return results
}
