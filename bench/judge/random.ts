/** Seeded draws: the same seed gives the same traffic on every machine. */
export interface Random {
  /** In [0, 1). */
  uniform(): number
  normal(): number
  poisson(mean: number): number
  binomial(trials: number, probability: number): number
}

/** Streams of one seed are independent of each other: one for each simulated rollout. */
export function createRandom(seed: number, stream = 0): Random {
  const uniform = sfc32(seed, stream)
  const random: Random = {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    poisson: mean => drawPoisson(uniform, mean),
    binomial: (trials, probability) =>
      probability > 0.5
        ? trials - drawBinomial(uniform, trials, 1 - probability)
        : drawBinomial(uniform, trials, probability),
  }
  return random
}

/** Chris Doty-Humphrey's sfc32 (PractRand, public domain): 128 bits of state, so that streams do not meet. */
function sfc32(seed: number, stream: number): () => number {
  let [a, b, c, count] = [0, seed | 0, stream | 0, 1]
  const next = () => {
    const sum = (((a + b) | 0) + count) | 0
    count = (count + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 4_294_967_296
  }
  for (let warmUp = 0; warmUp < 15; warmUp++) next()
  return next
}

// Both distributions are inverted exactly, outwards from the mode, so that rare events are as rare as they should be.

function drawPoisson(uniform: () => number, mean: number): number {
  if (!(mean > 0)) return 0
  const mode = Math.floor(mean)
  const logAtMode = mode * Math.log(mean) - mean - logFactorial(mode)
  return invert(uniform(), {
    mode,
    atMode: Math.exp(logAtMode),
    up: x => mean / (x + 1),
    down: x => x / mean,
  })
}

function drawBinomial(uniform: () => number, n: number, p: number): number {
  if (!(n > 0 && p > 0)) return 0
  const odds = p / (1 - p)
  const mode = Math.min(n, Math.floor((n + 1) * p))
  const logWays = logFactorial(n) - logFactorial(mode) - logFactorial(n - mode)
  return invert(uniform(), {
    mode,
    atMode: Math.exp(logWays + mode * Math.log(p) + (n - mode) * Math.log1p(-p)),
    up: x => ((n - x) * odds) / (x + 1),
    down: x => x / ((n - x + 1) * odds),
  })
}

interface Distribution {
  readonly mode: number
  readonly atMode: number
  /** Probability of x + 1, or of x - 1, over that of x; 0 at the ends. */
  readonly up: (x: number) => number
  readonly down: (x: number) => number
}

function invert(uniform: number, { mode, atMode, up, down }: Distribution): number {
  let left = uniform - atMode
  let [high, low] = [mode, mode]
  let [above, below] = [atMode, atMode]
  while (left > 0) {
    above *= up(high)
    below *= down(low)
    if (above === 0 && below === 0) return mode // rounding left a crumb of the unit interval over
    if (above > 0) high += 1
    left -= above
    if (left <= 0) return high
    if (below > 0) low -= 1
    left -= below
    if (left <= 0) return low
  }
  return mode
}

const SMALL_FACTORIALS = [0, 0]
for (let k = 2; k < 20; k++) SMALL_FACTORIALS.push((SMALL_FACTORIALS[k - 1] ?? 0) + Math.log(k))

/** Stirling's series, to about 1e-11 from 20 on. */
function logFactorial(k: number): number {
  const small = SMALL_FACTORIALS[k]
  if (small !== undefined) return small
  return (
    k * Math.log(k) -
    k +
    0.5 * Math.log(2 * Math.PI * k) +
    1 / (12 * k) -
    1 / (360 * k ** 3) +
    1 / (1260 * k ** 5)
  )
}
