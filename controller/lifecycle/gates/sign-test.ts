/**
 * The exact one-sided sign test: how likely it is that of `worse + better` pairs that differ at least `worse` do so to the
 * candidate's disadvantage, if each falls either way with the same chance.
 */
export function signTest(worse: number, better: number): number {
  const pairs = worse + better
  let chance = 0.5 ** pairs // of exactly k pairs, from k = 0 on
  let tail = 0
  for (let k = 0; k <= pairs; k++) {
    if (k >= worse) tail += chance
    chance *= (pairs - k) / (k + 1)
  }
  return Math.min(1, tail)
}
