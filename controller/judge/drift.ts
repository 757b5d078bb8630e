import { kSample } from './e-value.ts'

/** Past frequencies of one variant are shrunk to those of both by as much as this many requests weigh. */
const PSEUDO_COUNTS = 20
const THRESHOLD = 1000
/** By convention below 0.1 is no change that matters, above 0.25 a large one. */
const MIN_PSI = 0.1

/** Answers per predicted class, in the order of the labels. */
type ClassCounts = readonly number[]

export interface Drift {
  /** Predictions since the last step. */
  step(candidate: ClassCounts, stable: ClassCounts): void
  logValue(): number
  /** Population stability index of all predictions so far: how large the difference is, not how certain. */
  psi(): number
  /** The difference is both certain and large enough to matter: alert and, by default, hold. */
  isDrifting(): boolean
}

/** Do the two variants predict the classes equally often? */
export function createDrift(classes: number): Drift {
  const past = { candidate: zeros(classes), stable: zeros(classes) }
  let log = 0

  function psi(): number {
    const pool = frequencies(add(past.candidate, past.stable))
    const candidate = shrunk(past.candidate, pool)
    const stable = shrunk(past.stable, pool)
    return candidate.reduce((total, share, k) => total + psiOf(share, stable[k] ?? share), 0)
  }

  return {
    step(candidate, stable) {
      const pool = frequencies(add(past.candidate, past.stable))
      log += kSample(candidate, stable, {
        tc: shrunk(past.candidate, pool),
        ts: shrunk(past.stable, pool),
      })
      past.candidate = add(past.candidate, candidate)
      past.stable = add(past.stable, stable)
    },
    logValue: () => log,
    psi,
    isDrifting: () => log >= Math.log(THRESHOLD) && psi() >= MIN_PSI,
  }
}

function zeros(length: number): ClassCounts {
  return Array.from({ length }, () => 0)
}

function add(a: ClassCounts, b: ClassCounts): ClassCounts {
  return a.map((count, k) => count + (b[k] ?? 0))
}

function total(counts: ClassCounts): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Laplace's rule: a class that was never seen is still possible. */
function frequencies(counts: ClassCounts): readonly number[] {
  const all = total(counts) + counts.length
  return counts.map(count => (count + 1) / all)
}

function shrunk(counts: ClassCounts, pool: readonly number[]): readonly number[] {
  const all = total(counts) + PSEUDO_COUNTS
  return counts.map((count, k) => (count + PSEUDO_COUNTS * (pool[k] ?? 0)) / all)
}

function psiOf(candidate: number, stable: number): number {
  return (candidate - stable) * Math.log(candidate / stable)
}
