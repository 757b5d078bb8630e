import t from 'tap'
import { plain, RED } from '../serving/photos.ts'
import { writeModelFolder } from '../serving/model-folder.ts'
import { startServer } from '../serving/start-server.ts'
import { startWorker, twoVariants } from './harness.ts'

// The page of a real model server, as browsers get it: through the gateway.

t.test('people get the page at /, and with it and each later answer the notice that stands', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const route = (settings: object) =>
    twoVariants(url, url, { contract: 'prediction', weights: { stable: 100, candidate: 0 }, ...settings })
  const worker = await startWorker(t, [route({ notice: 'interrupted at noon' })])
  const page = await worker.send({ path: '/' })
  t.match(page, {
    status: 200,
    headers: {
      'x-weir-notice': 'interrupted at noon',
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': /^default-src 'none'/,
    },
    text: /id="notice"/,
  })
  t.equal((await worker.send({ path: '/page/predict.js' })).status, 200)
  const version = await worker.send({ path: '/version' })
  t.match(version, { status: 200, headers: { 'x-weir-notice': 'interrupted at noon' } }, 'what the page asks')
  await worker.set(route({}))
  t.notOk('x-weir-notice' in (await worker.send({ path: '/version' })).headers)
})

t.test('the photo that the page sends comes back with variant, version and an id to report on', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const worker = await startWorker(t, [twoVariants(url, url, { contract: 'prediction' })])
  const form = new FormData()
  const photo = await plain(RED).png().toBuffer()
  form.append('file', new Blob([Uint8Array.from(photo)], { type: 'image/png' }), 'red.png')
  const sent = new Request('http://gateway/predict', { method: 'POST', body: form })
  const answer = await worker.send({
    method: 'POST',
    path: '/predict',
    headers: { 'content-type': sent.headers.get('content-type') ?? '' },
    body: Buffer.from(await sent.arrayBuffer()),
  })
  t.equal(answer.headers['x-weir-variant'], 'candidate')
  const body = JSON.parse(answer.text) as Record<string, unknown>
  t.match(body, { label: 'Red', model: 'colours', model_version: '1', prediction_id: String })
  const report = (label: string) =>
    worker.send({
      method: 'POST',
      path: '/feedback',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prediction_id: body['prediction_id'], label }),
    })
  t.match(await report('Red'), { status: 200, text: /"correct":true/ })
})
