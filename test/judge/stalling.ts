import type { Look } from '../../contract/history.ts'
import { createLooks } from '../../bench/judge/looks.ts'
import { createRandom, type Random } from '../../bench/judge/random.ts'
import { BOUNDS } from '../../bench/judge/traffic.ts'

// Requests of two processes on a machine that lets either wait now and then: what would have ended meanwhile ends when it goes on. Each
// waits as often and as long as the other, whatever its share of the traffic.

export interface Stalling {
  readonly seed: number
  readonly requestsPerSecond: number
  readonly seconds: number
  readonly lookSeconds: number
  /** One after the other, each for the same time. */
  readonly weightsPercent: readonly number[]
  /** Of each process, at random times, and how long they are on average. */
  readonly stallsPerSecond: number
  readonly stallSeconds: number
  /** By how much the candidate's requests take longer. */
  readonly slower?: number
}

const MEDIAN_SECONDS = 0.02
const SIGMA = 0.5

export function looksOf(stalling: Stalling): Look[] {
  const { seed, requestsPerSecond, seconds, lookSeconds, weightsPercent, slower = 1 } = stalling
  const random = createRandom(seed)
  const stalls = { stable: drawStalls(random, stalling), candidate: drawStalls(random, stalling) }
  const weightAt = (t: number) =>
    weightsPercent[Math.min(weightsPercent.length - 1, Math.floor((t * weightsPercent.length) / seconds))] ??
    0
  const intervals = Array.from({ length: seconds / lookSeconds }, createDurations)
  for (let t = wait(random, requestsPerSecond); t < seconds; t += wait(random, requestsPerSecond)) {
    const variant = random.uniform() < weightAt(t) / 100 ? 'candidate' : 'stable'
    const takes = MEDIAN_SECONDS * (variant === 'candidate' ? slower : 1) * Math.exp(SIGMA * random.normal())
    const ends = stalls[variant].find(({ from, to }) => from <= t + takes && t + takes < to)?.to ?? t + takes
    intervals[Math.floor(ends / lookSeconds)]?.[variant].push(ends - t)
  }
  const looks = createLooks()
  const first = looks.first(weightAt(0))
  const later = intervals.map(({ stable, candidate }, index) => {
    const handled = { stable: handledOf(stable), candidate: handledOf(candidate), baseline: handledOf([]) }
    const t = (index + 1) * lookSeconds
    return looks.next({
      t,
      seconds: lookSeconds,
      weightPercent: weightAt(index * lookSeconds),
      ...handled,
    })
  })
  return [first, ...later]
}

/** Of the requests that ended in one interval. */
function createDurations(): Record<'stable' | 'candidate', number[]> {
  return { stable: [], candidate: [] }
}

interface Stall {
  readonly from: number
  readonly to: number
}

function drawStalls(random: Random, { seconds, stallsPerSecond, stallSeconds }: Stalling): readonly Stall[] {
  const stalls: Stall[] = []
  if (stallsPerSecond === 0) return stalls
  for (let from = wait(random, stallsPerSecond); from < seconds; from += wait(random, stallsPerSecond)) {
    const to = from + wait(random, 1 / stallSeconds)
    stalls.push({ from, to })
    from = to
  }
  return stalls
}

/** Exponential. */
function wait(random: Random, perSecond: number): number {
  return -Math.log(1 - random.uniform()) / perSecond
}

function handledOf(durations: readonly number[]) {
  const within = BOUNDS.map(bound => durations.filter(duration => duration <= bound).length)
  return { requests: durations.length, failures: 0, within }
}
