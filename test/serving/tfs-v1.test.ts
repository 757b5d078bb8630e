import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { plain, GREEN, RED } from './photos.ts'
import { ask, postJson, startServer } from './start-server.ts'
import { echo, halfPlusTwo, sumAndProduct } from './tiny-onnx.ts'

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
  const info = (name: string) => ({
    dtype: 'DT_FLOAT',
    tensor_shape: { dim: [{ size: '-1', name: '' }], unknown_rank: false },
    name,
  })
  t.strictSame((await ask(`${url}/v1/models/half_plus_two/metadata`)).body, {
    model_spec: { name: 'half_plus_two', signature_name: '', version: '123' },
    metadata: {
      signature_def: {
        signature_def: {
          serving_default: {
            inputs: { x: info('x') },
            outputs: { y: info('y') },
            method_name: 'tensorflow/serving/predict',
          },
        },
      },
    },
  })
  const named = { signature_name: 'serving_default', instances: [1] }
  t.strictSame((await postJson(predict, named)).body, { predictions: [2.5] })
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
  const columns = await postJson(`${url}/v1/models/colours:predict`, { inputs: { input: instances } })
  t.strictSame(columns.body, { outputs: body.predictions })
})

t.test('several inputs are named, by row or by column, and so are several outputs', async t => {
  const folder = t.testdir({ 'two.onnx': sumAndProduct() })
  const { url } = await startServer(t, `${folder}/two.onnx`)
  const predict = (body: object) => postJson(`${url}/v1/models/two:predict`, body)
  const rows = await predict({
    instances: [
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ],
  })
  t.strictSame(rows.body.predictions, [
    { sum: 3, product: 2 },
    { sum: 7, product: 12 },
  ])
  const columns = await predict({ inputs: { a: [1, 3], b: [2, 4] } })
  t.strictSame(columns.body.outputs, { sum: [3, 7], product: [2, 12] })
  const mistakes: Readonly<Record<string, readonly [object, RegExp]>> = {
    'unnamed rows': [{ instances: [1, 2] }, /several inputs.*"a", "b"/],
    'unnamed columns': [{ inputs: [1, 2] }, /several inputs/],
    'a row without one': [{ instances: [{ a: 1, b: 2 }, { a: 1 }] }, /instances\.1 has no "b"/],
    'a column too few': [{ inputs: { a: [1] } }, /inputs has no "b"/],
    'one too many': [{ inputs: { a: [1], b: [1], c: [1] } }, /inputs names "c"/],
    'rows of which some are named': [{ instances: [{ a: 1, b: 2 }, 3] }, /partly/],
  }
  for (const [name, [body, reason]] of Object.entries(mistakes)) {
    t.match(await predict(body), { status: 400, body: { error: reason } }, name)
  }
})

t.test('text may be plain or in base64', async t => {
  const folder = t.testdir({ 'echo.onnx': echo() })
  const { url } = await startServer(t, `${folder}/echo.onnx`)
  const instances = ['soup', { b64: Buffer.from('Brötchen').toString('base64') }]
  const answer = await postJson(`${url}/v1/models/echo:predict`, { instances })
  t.strictSame(answer.body, { predictions: ['soup', 'Brötchen'] })
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
    'another signature': { instances: [photo], signature_name: 'classify' },
    'an input that the model does not have': { instances: [{ input: photo, other: 1 }] },
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
