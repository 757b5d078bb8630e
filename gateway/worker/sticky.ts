import type { Share } from './split.ts'

/**
 * Weighted rendezvous hashing: the variant with the lowest -ln(u)/weight wins, u being a hash of salt, variant and key. Shares
 * are exact, no state is kept, every worker and replica agrees, and raising one weight only moves users to that variant.
 */
export function createPinning(shares: readonly Share[], salt: string): (key: string) => string | undefined {
  if (shares.length <= 1) return () => shares[0]?.variant
  const rivals = shares.map(share => ({ ...share, begun: absorb(START, `${salt}\n${share.variant}\n`) }))
  return key => {
    let winner: string | undefined
    let lowest = Infinity
    for (const { variant, weightBp, begun } of rivals) {
      const score = -Math.log(toUnit(absorb(begun, key))) / weightBp
      if (score < lowest) {
        lowest = score
        winner = variant
      }
    }
    return winner
  }
}

/**
 * A hash of text in (0, 1): 53 bits of cyrb53 (public domain), which mixes well and costs a twentieth of a cryptographic hash.
 * It must never change: every user would be dealt anew.
 */
export function unitHash(text: string): number {
  return toUnit(absorb(START, text))
}

/** A hash in the making; the text may be given in parts. */
interface HashState {
  readonly low: number
  readonly high: number
}

const START: HashState = { low: 0xdeadbeef, high: 0x41c6ce57 }

function absorb(state: HashState, text: string): HashState {
  let { low, high } = state
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index) // UTF-16 units: surrogates count as two, the same everywhere
    low = Math.imul(low ^ code, 2_654_435_761)
    high = Math.imul(high ^ code, 1_597_334_677)
  }
  return { low, high }
}

function toUnit(state: HashState): number {
  let { low, high } = state
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909)
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909)
  return (4_294_967_296 * (2_097_151 & high) + (low >>> 0) + 0.5) / 9_007_199_254_740_992
}
