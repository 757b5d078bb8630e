import { t } from 'tap'
import type { Profile } from '../../contract/model-manifest.ts'
import { createDrift, populationStabilityIndex } from '../../serving/drift.ts'
import { imageFeatures } from '../../serving/image-features.ts'
import type { Observation } from '../../serving/inference-messages.ts'

const PROFILE: Profile = {
  photos: 100,
  features: { brightness: { bounds: [0.25, 0.5, 0.75], counts: [25, 25, 25, 25] } },
  labels: [50, 50],
}

function observation(brightness: number, label: number): Observation {
  const rest = { contrast: 0, saturation: 0, sharpness: 0, aspectRatio: 1, megapixels: 1 }
  return { features: { brightness, ...rest }, label, entropy: 0 }
}

t.test('nothing is said about fewer than 200 images', async t => {
  const drift = createDrift(PROFILE)
  for (let n = 0; n < 199; n++) drift.observe(observation(0.9, 0))
  t.equal(drift.psi().size, 0)
  t.equal(drift.samples(), 199)
  drift.observe(observation(0.9, 0))
  t.strictSame([...drift.psi().keys()], ['brightness', 'label'])
})

t.test('images like the profile have an index near 0, others a large one', async t => {
  const same = createDrift(PROFILE)
  const brighter = createDrift(PROFILE)
  for (let n = 0; n < 400; n++) {
    same.observe(observation((n % 4) / 4 + 0.1, n % 2))
    brighter.observe(observation(0.9, n % 2))
  }
  t.ok((same.psi().get('brightness') ?? 1) < 0.01)
  t.ok((same.psi().get('label') ?? 1) < 0.01)
  t.ok((brighter.psi().get('brightness') ?? 0) > 0.25)
  t.ok((brighter.psi().get('label') ?? 1) < 0.01)
})

t.test('size, shape and the certainty of predictions are compared too', async t => {
  const bins = { bounds: [0.5], counts: [50, 50] }
  const profile = { photos: 100, features: { aspectRatio: bins, megapixels: bins, entropy: bins } }
  const drift = createDrift(profile)
  const { features, label } = observation(0.5, 0)
  for (let n = 0; n < 200; n++) {
    const value = n % 2
    drift.observe({ features: { ...features, aspectRatio: value, megapixels: value }, label, entropy: 1 })
  }
  const psi = drift.psi()
  t.ok((psi.get('aspectRatio') ?? 1) < 0.01)
  t.ok((psi.get('megapixels') ?? 1) < 0.01)
  t.ok((psi.get('entropy') ?? 0) > 0.25, 'all of them guesses')
})

t.test('only the latest images count', async t => {
  const drift = createDrift(PROFILE, 400)
  for (let n = 0; n < 400; n++) drift.observe(observation(0.9, 0))
  for (let n = 0; n < 400; n++) drift.observe(observation((n % 4) / 4 + 0.1, n % 2))
  t.equal(drift.samples(), 400)
  t.ok((drift.psi().get('brightness') ?? 1) < 0.01)
})

t.test('the index of equal shares is 0, and an empty bin leaves it finite', async t => {
  t.ok(populationStabilityIndex([10, 20], [100, 200]) < 1e-3)
  t.ok(Number.isFinite(populationStabilityIndex([10, 20], [30, 0])))
})

t.test('features of a picture that can be worked out by hand', async t => {
  // 4 by 4, left half black and right half pure red
  const pixels = Uint8Array.from({ length: 48 }, (_, at) =>
    at % 3 === 0 && Math.floor(at / 3) % 4 >= 2 ? 255 : 0,
  )
  const features = imageFeatures({ pixels, width: 800, height: 400 }, 4)
  const close = (actual: number, expected: number) =>
    t.ok(Math.abs(actual - expected) < 1e-6, `${actual} is ${expected}`)
  close(features.brightness, 0.299 / 2)
  close(features.contrast, 0.299 / 2)
  close(features.saturation, 0.5)
  close(features.sharpness, 0.299)
  t.match(features, { aspectRatio: 2, megapixels: 0.32 })
})
