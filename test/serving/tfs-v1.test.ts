import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { plain, GREEN, RED } from './photos.ts'
import { ask, postJson, startServer } from './start-server.ts'
import { halfPlusTwo } from './tiny-onnx.ts'

// https://www.tensorflow.org/tfx/serving/api_rest

t.test('half_plus_two answers as in the documentation of TensorFlow Serving', async t => {
  const manifest = {
    name: 'half_plus_two',
    version: '123',
    input: { name: 'x', type: 'float32', shape: [-1] },
    output: { name: 'y', type: 'float32', shape: [-1] },
    preprocessing: { kind: 'tensor' },
  }
  const { url } = await startServer(
    t,
    await writeModelFolder(t.testdir(), { manifest, model: halfPlusTwo() }),
  )
  const predict = `${url}/v1/models/half_plus_two:predict`
  t.strictSame((await postJson(predict, { instances: [1.0, 2.0, 5.0] })).body, { predictions: [2.5, 3, 4.5] })
  t.strictSame((await postJson(predict, { instances: [{ x: 1 }, { x: 2 }] })).body, { predictions: [2.5, 3] })
  t.strictSame((await postJson(predict, { inputs: [1, 2] })).body, { outputs: [2.5, 3] })
  t.strictSame((await postJson(predict, { inputs: { x: [1, 2] } })).body, { outputs: [2.5, 3] })
  t.strictSame(
    (await postJson(`${url}/v1/models/half_plus_two/versions/123:predict`, { instances: [5] })).body,
    {
      predictions: [4.5],
    },
  )
  t.strictSame((await ask(`${url}/v1/models/half_plus_two`)).body, {
    model_version_status: [
      { version: '123', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } },
    ],
  })
  t.match((await ask(`${url}/v1/models/half_plus_two/metadata`)).body, {
    model_spec: { name: 'half_plus_two' },
  })
  t.match((await ask(`${url}/version`)).body, { model: 'half_plus_two', model_version: '123' })
})

t.test('photos in base64 get one row of outputs each', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const photos = await Promise.all([RED, GREEN].map(colour => plain(colour).jpeg().toBuffer()))
  const instances = photos.map(photo => ({ b64: photo.toString('base64') }))
  const { body } = await postJson(`${url}/v1/models/colours:predict`, { instances })
  const best = body.predictions.map((logits: number[]) => logits.indexOf(Math.max(...logits)))
  t.strictSame(best, [0, 1])
  const named = instances.map(instance => ({ input: instance }))
  t.strictSame((await postJson(`${url}/v1/models/colours:predict`, { instances: named })).body, body)
})

t.test('every mistake is a 4xx in the protocol’s shape', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const photo = { b64: (await plain(RED).jpeg().toBuffer()).toString('base64') }
  const mistakes: Readonly<Record<string, unknown>> = {
    'no instances': {},
    'empty instances': { instances: [] },
    'both formats': { instances: [photo], inputs: [photo] },
    'a misspelt member': { instances: [photo], signature: 'x' },
    'photos among numbers': { instances: [photo, 1] },
    'numbers of another shape': { instances: [1, 2] },
    'ragged rows': { instances: [[[1, 2], [3]]] },
    'no photo': { instances: [{ b64: 'aGVsbG8=' }] },
    'too many photos': { instances: Array.from({ length: 65 }, () => photo) },
    'broken JSON': '[',
    null: 'null',
  }
  for (const [name, body] of Object.entries(mistakes)) {
    const answer = await postJson(`${url}/v1/models/colours:predict`, body as object)
    t.equal(answer.status, 400, name)
    t.type(answer.body.error, 'string', name)
  }
  for (const path of ['nope:predict', 'colours:classify', 'colours/versions/9:predict']) {
    const answer = await postJson(`${url}/v1/models/${path}`, { instances: [photo] })
    t.equal(answer.status, 404, path)
    t.type(answer.body.error, 'string', path)
  }
})
