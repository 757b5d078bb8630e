/** Probabilities of logits, stable for large ones. */
export function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits)
  const largest = Math.max(...values)
  const powers = values.map(value => Math.exp(value - largest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map(power => power / sum)
}

export interface ClassScore {
  readonly index: number
  readonly score: number
}

/** The `count` highest, highest first; among equals the lower class comes first. */
export function topClasses(scores: ArrayLike<number>, count: number): ClassScore[] {
  return Array.from(scores, (score, index) => ({ index, score }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count)
}

/** 0 for a certain prediction, 1 for a guess among all classes. */
export function normalisedEntropy(probabilities: readonly number[]): number {
  if (probabilities.length < 2) return 0
  const nats = probabilities.reduce((total, p) => (p > 0 ? total - p * Math.log(p) : total), 0)
  return nats / Math.log(probabilities.length)
}
