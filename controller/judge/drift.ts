import { kSample } from './e-value.ts'

/** Past frequencies of one variant are shrunk to those of both by as much as this many requests weigh. */
const PSEUDO_COUNTS = 20
const THRESHOLD = 1000
/** By convention below 0.1 is no change that matters, above 0.25 a large one. */
const MIN_PSI = 0.1
/** Further classes are counted as one. */
const MAX_CLASSES = 1000

/** Answers by predicted class. */
export type ClassCounts = ReadonlyMap<string, number>

export interface Drift {
  /** Predictions since the last step. */
  step(candidate: ClassCounts, comparator: ClassCounts): void
  logValue(): number
  /** Population stability index of all predictions so far: how large the difference is, not how certain. */
  psi(): number
  /** The difference is both certain and large enough to matter: by default, hold. */
  isDrifting(): boolean
}

/**
 * Do the two variants predict the classes equally often? Classes are known from the step after their first prediction on; what a
 * step brings of others is one class of its own, so that what is expected never depends on what it is compared with.
 */
export function createDrift(): Drift {
  const known = new Set<string>()
  let past: { candidate: ClassCounts; comparator: ClassCounts } = {
    candidate: new Map(),
    comparator: new Map(),
  }
  let log = 0

  /** Of the known classes, in their order, then of all others. */
  function inOrder(counts: ClassCounts): readonly number[] {
    const ofKnown = [...known].map(label => counts.get(label) ?? 0)
    return [...ofKnown, total([...counts.values()]) - total(ofKnown)]
  }

  function believed() {
    const [candidate, comparator] = [inOrder(past.candidate), inOrder(past.comparator)]
    const pool = frequencies(candidate.map((count, k) => count + (comparator[k] ?? 0)))
    return { tc: shrunk(candidate, pool), ts: shrunk(comparator, pool) }
  }

  function psi(): number {
    const { tc, ts } = believed()
    return tc.reduce((sum, share, k) => sum + psiOf(share, ts[k] ?? share), 0)
  }

  return {
    step(candidate, comparator) {
      log += kSample(inOrder(candidate), inOrder(comparator), believed())
      past = { candidate: added(past.candidate, candidate), comparator: added(past.comparator, comparator) }
      for (const label of [...candidate.keys(), ...comparator.keys()])
        if (known.size < MAX_CLASSES) known.add(label)
    },
    logValue: () => log,
    psi,
    isDrifting: () => log >= Math.log(THRESHOLD) && psi() >= MIN_PSI,
  }
}

function added(a: ClassCounts, b: ClassCounts): ClassCounts {
  const sum = new Map(a)
  for (const [label, count] of b) sum.set(label, (sum.get(label) ?? 0) + count)
  return sum
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Laplace's rule: a class that was never seen is still possible. */
function frequencies(counts: readonly number[]): readonly number[] {
  const all = total(counts) + counts.length
  return counts.map(count => (count + 1) / all)
}

function shrunk(counts: readonly number[], pool: readonly number[]): readonly number[] {
  const all = total(counts) + PSEUDO_COUNTS
  return counts.map((count, k) => (count + PSEUDO_COUNTS * (pool[k] ?? 0)) / all)
}

function psiOf(candidate: number, comparator: number): number {
  return (candidate - comparator) * Math.log(candidate / comparator)
}
