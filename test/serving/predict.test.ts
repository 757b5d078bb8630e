import { rm, writeFile } from 'node:fs/promises'
import { t } from 'tap'
import { plain, GREEN, RED } from './photos.ts'
import { COLOURS, writeModelFolder } from './model-folder.ts'
import { ask, postBytes, postJson, startServer } from './start-server.ts'

t.test('a photo gets the same label, confidence and version in all three forms', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const photo = await plain(RED).jpeg().toBuffer()
  const form = new FormData()
  form.append('note', 'a field that is not the file')
  form.append('file', new Blob([Uint8Array.from(photo)], { type: 'image/jpeg' }), 'red.jpg')

  const byForm = await ask(`${url}/predict`, { method: 'POST', body: form })
  const raw = await postBytes(`${url}/predict`, photo, 'image/jpeg')
  const byJson = await postJson(`${url}/predict`, { image: photo.toString('base64') })

  t.equal(byForm.status, 200)
  t.equal(byForm.body.label, 'Red')
  t.equal(byForm.body.class_index, 0)
  t.match(byForm.body, { model: 'colours', model_version: '1' })
  t.equal(byForm.headers.get('x-weir-model-version'), '1')
  t.strictSame(raw.body, byForm.body)
  t.strictSame(byJson.body, byForm.body)
})

t.test('confidence is the softmax and top_k is sorted by it', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const { body } = await postBytes(`${url}/predict`, await plain(GREEN).png().toBuffer(), 'image/png')
  const confidences: number[] = body.top_k.map((entry: { confidence: number }) => entry.confidence)
  t.strictSame(body.top_k.map((entry: { label: string }) => entry.label).toSorted(), COLOURS.toSorted())
  t.strictSame(
    confidences,
    confidences.toSorted((a, b) => b - a),
  )
  t.ok(Math.abs(confidences.reduce((sum, value) => sum + value, 0) - 1) < 1e-9)
  t.equal(body.confidence, confidences[0])
})

t.test('every accepted format is decoded', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  for (const format of ['jpeg', 'png', 'webp', 'avif', 'gif', 'tiff'] as const) {
    const photo = await plain(RED).toFormat(format).toBuffer()
    t.match(
      await postBytes(`${url}/predict`, photo, 'image/*'),
      { status: 200, body: { label: 'Red' } },
      format,
    )
  }
})

t.test('bad input gets a 4xx with a stable code', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()), { bodyLimitBytes: 1_000_000 })
  const photo = await plain(RED).jpeg().toBuffer()
  const form = (name: string, content: Uint8Array) => {
    const data = new FormData()
    data.append(name, new Blob([Uint8Array.from(content)]), 'x.jpg')
    return ask(`${url}/predict`, { method: 'POST', body: data })
  }
  const cases = {
    missing_file: () => form('picture', photo),
    empty_file: () => form('file', new Uint8Array()),
    image_undecodable: () => form('file', Buffer.from('hello')),
    unsupported_media_type: () =>
      postBytes(`${url}/predict`, Buffer.from('a=b'), 'application/x-www-form-urlencoded'),
    invalid_json: () => postJson(`${url}/predict`, '{"image":'),
    bad_request: () => postJson(`${url}/predict`, { image: '%%%' }),
    invalid_multipart: () => postBytes(`${url}/predict`, Buffer.from('x'), 'multipart/form-data'),
    body_too_large: () => postBytes(`${url}/predict`, Buffer.alloc(1_100_000), 'image/jpeg'),
  }
  for (const [code, send] of Object.entries(cases)) {
    const { status, body } = await send()
    t.equal(body.error?.code, code)
    t.ok(status >= 400 && status < 500, `${code}: ${status}`)
    t.type(body.error?.message, 'string')
  }
  const unknown = await postJson(`${url}/predict`, { image: 'AAAA', imgae: 1 })
  t.match(unknown.body.error, { code: 'bad_request', message: /imgae/ })
  t.equal((await ask(`${url}/predict`, { method: 'POST' })).body.error.code, 'missing_file')
})

t.test('an SVG is refused before a decoder sees it', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const svg = Buffer.from(
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
  )
  const { status, body } = await postBytes(`${url}/predict`, svg, 'image/svg+xml')
  t.equal(status, 415)
  t.equal(body.error.code, 'unsupported_media_type')
})

t.test('/test names the sample, what was expected and whether it was right', async t => {
  const photos = t.testdir({
    'samples.json': JSON.stringify([
      { file: 'red.jpg', label: 'Red' },
      { file: 'green.jpg', label: 'Blue' },
    ]),
    'red.jpg': await plain(RED).jpeg().toBuffer(),
    'green.jpg': await plain(GREEN).jpeg().toBuffer(),
  })
  const folder = await writeModelFolder(photos)
  const { url } = await startServer(t, folder, { args: ['--workers', '1', '--samples', photos] })
  t.match((await ask(`${url}/test`)).body, {
    label: 'Red',
    expected: 'Red',
    correct: true,
    image: 'red.jpg',
    model_version: '1',
  })
  t.match((await ask(`${url}/test`)).body, { label: 'Green', expected: 'Blue', correct: false })
})

t.test('samples that cannot be read are told by /test, and stop nothing else', async t => {
  const parent = t.testdir({ model: { samples: { 'samples.json': '{' } } })
  const { url } = await startServer(t, await writeModelFolder(parent))
  t.match(await ask(`${url}/test`), {
    status: 404,
    body: { error: { message: /^samples\.json is no list/ } },
  })
  await writeFile(`${parent}/model/samples/samples.json`, '[{"file":"gone.jpg","label":"Red"}]')
  t.match(await ask(`${url}/test`), { status: 404, body: { error: { message: /gone\.jpg cannot be read/ } } })
  await rm(`${parent}/model/samples`, { recursive: true })
  t.match(await ask(`${url}/test`), { status: 404, body: { error: { message: /no sample photo/ } } })
  t.equal((await ask(`${url}/readyz`)).status, 200)
})

t.test('a drill fails its share and says so in /version', async t => {
  const drill = { failRate: 0.5, delayMs: 0, after: 2, statusCode: 502 }
  const { url } = await startServer(t, await writeModelFolder(t.testdir()), { drill })
  const photo = await plain(RED).jpeg().toBuffer()
  const answers = []
  for (let n = 0; n < 6; n++) answers.push(await postBytes(`${url}/predict`, photo, 'image/jpeg'))
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 200, 200, 502, 200, 502],
  )
  t.equal(answers[3]?.body.error.code, 'drill')
  t.strictSame((await ask(`${url}/version`)).body.drill, drill)
})

t.test('metrics count outcomes, stages and features', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  await postBytes(`${url}/predict`, await plain(RED).jpeg().toBuffer(), 'image/jpeg')
  await postBytes(`${url}/predict`, Buffer.from('no image'), 'image/jpeg')
  const { body } = await ask(`${url}/metrics`)
  t.match(body, 'weir_serving_requests_total{model="colours",version="1",outcome="success"} 1')
  t.match(body, 'weir_serving_requests_total{model="colours",version="1",outcome="client_error"} 1')
  t.match(body, 'requests_total{custom_status="good"} 1')
  t.match(body, 'weir_serving_stage_seconds_count{stage="infer"} 1')
  t.match(body, 'weir_serving_feature_count{feature="brightness"} 1')
  t.match(body, 'weir_serving_queue_depth 0')
})

t.test('the documentation lists every route', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const { body } = await ask(`${url}/docs/json`)
  const paths = Object.keys(body.paths)
  for (const path of ['/predict', '/test', '/version', '/readyz', '/metrics', '/v2/models/{model}/infer']) {
    t.ok(paths.includes(path), path)
  }
})
