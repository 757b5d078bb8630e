import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createServingClient } from '../../client/serving.ts'
import { gateSettings, type GateSettings } from '../../contract/gate.ts'
import { modelManifest } from '../../contract/model-manifest.ts'
import { createGate, type GateSubject } from '../../controller/lifecycle/gates/gate.ts'
import { createIntegrationGate } from '../../controller/lifecycle/gates/integration.ts'
import { findLabelledPhotos } from '../../controller/lifecycle/gates/labelled-photos.ts'
import { createLoadGate } from '../../controller/lifecycle/gates/load.ts'
import { createQualityGate } from '../../controller/lifecycle/gates/quality.ts'
import { systemClock as clock } from '../../lib/clock.ts'
import { listen } from '../evidence/fake-gateway.ts'
import { COLOURS, colourManifest, writeModelFolder } from '../serving/model-folder.ts'
import { GREEN, plain, RED } from '../serving/photos.ts'
import { startServer } from '../serving/start-server.ts'

// What gates do, against real model servers.

const SETTINGS = gateSettings.parse({})
const { signal: never } = new AbortController()

function settingsOf<Name extends 'integration' | 'load' | 'quality'>(
  name: Name,
): Exclude<GateSettings[Name], false> {
  const settings = SETTINGS[name]
  if (settings === false) throw new Error(`${name} is off by default`)
  return settings as Exclude<GateSettings[Name], false>
}

/** A colour classifier with a red and a green photo, served; `changes` are the manifest's. */
async function subjectOf(
  t: Test,
  changes: Readonly<Record<string, unknown>> = {},
  drill?: { failRate: number },
) {
  const parent = t.testdir()
  const folder = await writeModelFolder(parent, { manifest: colourManifest(changes) })
  const samples = join(folder, '..', 'samples')
  await mkdir(join(samples, 'red'), { recursive: true })
  await mkdir(join(samples, 'green'), { recursive: true })
  await writeFile(join(samples, 'red', '1.jpg'), await plain(RED).jpeg().toBuffer())
  await writeFile(join(samples, 'green', '1.jpg'), await plain(GREEN).jpeg().toBuffer())
  const list = [
    { file: 'red/1.jpg', label: 'Red' },
    { file: 'green/1.jpg', label: 'Green' },
  ]
  await writeFile(join(samples, 'samples.json'), JSON.stringify(list))
  const started = { ...(drill && { drill: { delayMs: 0, after: 0, statusCode: 500, ...drill } }) }
  const { url } = await startServer(t, folder, started)
  const { digest } = await createServingClient({ baseUrl: url }).version()
  const manifest = modelManifest.parse(JSON.parse(await readFile(join(folder, 'model.json'), 'utf8')))
  const subject: GateSubject = {
    model: 'colours',
    version: manifest.version,
    digest,
    endpoints: [url],
    folder,
    manifest,
    samples,
    facts: async () => ({ running: true, exits: [], peakBytes: 1 }),
    production: null,
  }
  return subject
}

t.test('integration passes what is as declared, also where some answers fail', async t => {
  const gate = createIntegrationGate(settingsOf('integration'), clock)
  const result = await gate.run(await subjectOf(t), never)
  t.match(result, {
    gate: 'integration',
    verdict: 'pass',
    evidence: { problems: [], inputs: [{ shape: [-1, 3, 224, 224] }] },
  })
  t.equal(result.evidence?.gate === 'integration' && result.evidence.answers.length, 5)
  const flaky = await gate.run(await subjectOf(t, {}, { failRate: 0.3 }), never)
  t.match(flaky, { verdict: 'pass' }, 'how often it fails is for the load gate to count')
  t.match(await gate.run(await subjectOf(t, {}, { failRate: 1 }), never), {
    verdict: 'fail',
    reason: /\/test answered 500/,
  })
})

t.test('integration fails labels and shapes that are not those of the manifest', async t => {
  const subject = await subjectOf(t)
  const gate = createIntegrationGate(settingsOf('integration'), clock)
  if ('server' in subject.manifest) throw new Error('it has a model')
  const { manifest } = subject
  const other = { ...subject, manifest: { ...manifest, labels: ['Cyan', 'Magenta', 'Yellow'] } }
  t.match(await gate.run(other, never), { verdict: 'fail', reason: /"Red" is no label of the manifest/ })
  const wide = { ...subject, manifest: { ...manifest, output: { ...manifest.output, shape: [-1, 11] } } }
  t.match(await gate.run(wide, never), {
    verdict: 'fail',
    reason: /output "logits" is FP32 \[-1, 3\], the manifest says FP32 \[-1, 11\]/,
  })
})

t.test(
  'a version with neither samples beside it nor a reference image is asked for one of the photos of its model',
  async t => {
    const subject = await subjectOf(t)
    const samples = join(subject.folder, '..', '..', 'photos')
    await rename(subject.samples, samples)
    const gate = createIntegrationGate(settingsOf('integration'), clock)
    const result = await gate.run({ ...subject, samples }, never)
    t.match(result, {
      verdict: 'pass',
      evidence: { answers: [{ what: 'red/1.jpg', label: 'Red', expected: null }] },
    })
    t.match(await gate.run(subject, never), {
      verdict: 'error',
      reason: /neither a sample photo nor a reference image/,
    })
  },
)

t.test('another digest is an error and no pass, before and after', async t => {
  const subject = await subjectOf(t)
  let measured = 0
  const measure = async () => {
    measured += 1
    return { verdict: 'pass', reason: 'well', evidence: null } as const
  }
  const gate = createGate('any', clock, measure)
  t.match(await gate.run({ ...subject, digest: 'sha256:other' }, never), {
    verdict: 'error',
    reason: /answers as version 1 with sha256:[0-9a-f]+, not as 1 with sha256:other/,
  })
  t.equal(measured, 0, 'nothing is measured on another version')
  t.match(await gate.run(subject, never), { verdict: 'pass' })

  let digest = subject.digest
  const url = await listen(t, (_, response) =>
    response.end(JSON.stringify({ model: 'colours', model_version: '1', digest })),
  )
  const swapped = createGate('any', clock, async () => {
    digest = 'sha256:swapped'
    return { verdict: 'fail', reason: 'slow', evidence: null }
  })
  t.match(await swapped.run({ ...subject, endpoints: [url] }, never), {
    verdict: 'error',
    reason: /sha256:swapped/,
  })
  t.match(await gate.run({ ...subject, endpoints: [] }, never), { verdict: 'error', reason: /no endpoint/ })
})

t.test('load counts every request, the first as well, and time-outs as asked', async t => {
  const subject = await subjectOf(t)
  let asked = 0
  const url = await listen(t, (request, response) => {
    if (request.url === '/version')
      return response.end(JSON.stringify({ model: 'x', model_version: '1', digest: subject.digest }))
    asked += 1
    if (asked === 1) response.statusCode = 503
    if (asked !== 2) response.end('{}')
    return undefined
  })
  const settings = { ...settingsOf('load'), requests: 20, concurrent: 4, requestTimeout: 500 }
  const result = await createLoadGate(settings, clock).run({ ...subject, endpoints: [url] }, never)
  t.equal(asked, 20)
  t.match(result, {
    verdict: 'fail',
    evidence: { requests: 20, succeeded: 18, timedOut: 1, broken: 0, statuses: { 200: 18, 503: 1 } },
  })
  t.match(
    await createLoadGate({ ...settings, requestTimeout: 20_000, p95BelowMs: 20_000 }, clock).run(
      subject,
      never,
    ),
    { verdict: 'pass' },
  )
})

t.test('quality compares with production on the same photos', async t => {
  const subject = await subjectOf(t)
  await t.test('with labels in another order', async t => {
    const candidate = await subjectOf(t, { version: '2', labels: ['Green', 'Red', 'Blue'] })
    const { version, digest, endpoints } = subject
    const gate = createQualityGate(settingsOf('quality'), clock)
    const result = await gate.run({ ...candidate, production: { version, digest, endpoints } }, never)
    t.match(result, {
      verdict: 'pass',
      reason: /may be chance/,
      evidence: { correct: 0, onlyProduction: 2, production: { correct: 2 } },
    })
    const gone = { version, digest: 'sha256:other', endpoints }
    t.match(await gate.run({ ...candidate, production: gone }, never), {
      verdict: 'error',
      reason: /sha256:other/,
    })
    t.match(await gate.run({ ...candidate, samples: join(candidate.folder, 'nothing') }, never), {
      verdict: 'error',
      reason: /there is no folder/,
    })
  })
})

t.test('a folder for each label is a labelled folder', async t => {
  const folder = t.testdir({
    red: { 'b.jpg': '', 'a.png': '', 'notes.txt': '' },
    Green: { 'c.jpg': '' },
    other: { 'd.jpg': '' },
  })
  const photos = await findLabelledPhotos(folder, COLOURS)
  t.same(photos.map(({ file, label }) => [file, label]).toSorted(), [
    ['Green/c.jpg', 'Green'],
    ['red/a.png', 'Red'],
    ['red/b.jpg', 'Red'],
  ])
  await t.rejects(findLabelledPhotos(t.testdir({ x: {} }), COLOURS), { code: 'not_found' })
  const wrong = t.testdir({ 'samples.json': '[{"file":"../x.jpg","label":"Red"}]' })
  await t.rejects(findLabelledPhotos(wrong, COLOURS), {
    code: 'invalid_setting',
    message: /must stay in its folder/,
  })
})
