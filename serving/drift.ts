import type { FeatureProfile, Profile } from '../contract/model-manifest.ts'
import { PROFILE_FEATURES } from '../contract/model-manifest.ts'
import type { Observation } from './inference-messages.ts'

export interface Drift {
  observe(observation: Observation): void
  /** How many of the latest images the figures are made of. */
  samples(): number
  /** The population stability index per feature and of the predicted labels; empty while there are too few samples. */
  psi(): ReadonlyMap<string, number>
}

/** With fewer, chance alone makes an index that looks like drift. */
const MIN_SAMPLES = 200
const WINDOW = 2000

/** Compares the latest images with those that the manifest's profile was made from. */
export function createDrift(profile: Profile, window = WINDOW): Drift {
  const expected = expectedCounts(profile)
  const counts = new Map([...expected].map(([name, bins]) => [name, bins.map(() => 0)]))
  const latest: ReadonlyMap<string, number>[] = []

  function count(bins: ReadonlyMap<string, number>, by: 1 | -1): void {
    for (const [name, bin] of bins) {
      const counted = counts.get(name)
      if (counted?.[bin] !== undefined) counted[bin] += by
    }
  }

  return {
    observe(observation) {
      const bins = binsOf(observation, profile)
      latest.push(bins)
      count(bins, 1)
      const oldest = latest.length > window ? latest.shift() : undefined
      if (oldest) count(oldest, -1)
    },
    samples: () => latest.length,
    psi() {
      if (latest.length < MIN_SAMPLES) return new Map()
      return new Map(
        [...expected].map(([name, bins]) => [name, populationStabilityIndex(bins, counts.get(name) ?? [])]),
      )
    },
  }
}

function expectedCounts({ features, labels }: Profile): Map<string, readonly number[]> {
  const expected = new Map<string, readonly number[]>()
  for (const name of PROFILE_FEATURES) {
    const feature = features[name]
    if (feature) expected.set(name, feature.counts)
  }
  if (labels) expected.set('label', labels)
  return expected
}

function binsOf({ features, label, entropy }: Observation, profile: Profile): Map<string, number> {
  const values = { ...features, entropy }
  const bins = new Map<string, number>([['label', label]])
  for (const name of PROFILE_FEATURES) {
    const feature = profile.features[name]
    if (feature) bins.set(name, binOf(values[name], feature))
  }
  return bins
}

function binOf(value: number, { bounds }: FeatureProfile): number {
  const index = bounds.findIndex(bound => value < bound)
  return index === -1 ? bounds.length : index
}

/**
 * Sum of (actual - expected) * ln(actual / expected) over the bins' shares. Half a sample is added to every bin, so that an
 * empty one weighs much and not infinitely much. Above 0.1 is commonly called a shift, above 0.25 a large one.
 */
export function populationStabilityIndex(expected: readonly number[], actual: readonly number[]): number {
  const share = (counts: readonly number[]) => {
    const total = counts.reduce((sum, count) => sum + count + 0.5, 0)
    return counts.map(count => (count + 0.5) / total)
  }
  const actualShares = share(actual)
  return share(expected).reduce((index, before, bin) => {
    const now = actualShares[bin] ?? before
    return index + (now - before) * Math.log(now / before)
  }, 0)
}
