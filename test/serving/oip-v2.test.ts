import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { GREEN, plain, RED } from './photos.ts'
import { ask, postBytes, postJson, startServer } from './start-server.ts'
import { echo, halfPlusTwo, sumAndProduct } from './tiny-onnx.ts'

// https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md

const SIDE = 224
const ROW = 3 * SIDE * SIDE

/** One row whose colour planes are constant, so that the logits are these three numbers. */
function row(...planes: readonly [number, number, number]): number[] {
  return planes.flatMap(value => Array.from({ length: SIDE * SIDE }, () => value))
}

const tensor = (data: unknown, shape = [1, 3, SIDE, SIDE]) => ({
  name: 'input',
  shape,
  datatype: 'FP32',
  data,
})

t.test('an image model', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const infer = `${url}/v2/models/colours/infer`

  await t.test('server, health and model metadata', async t => {
    t.match((await ask(`${url}/v2`)).body, {
      name: 'weir',
      extensions: ['binary_tensor_data', 'classification'],
    })
    t.equal((await ask(`${url}/v2/health/live`)).status, 200)
    t.equal((await ask(`${url}/v2/health/ready`)).status, 200)
    t.equal((await ask(`${url}/v2/models/colours/ready`)).status, 200)
    t.equal((await ask(`${url}/v2/models/colours/versions/1/ready`)).status, 200)
    t.strictSame((await ask(`${url}/v2/models/colours`)).body, {
      name: 'colours',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 3, SIDE, SIDE] }],
      outputs: [{ name: 'logits', datatype: 'FP32', shape: [-1, 3] }],
    })
  })

  await t.test('flat and nested data, with the id given back', async t => {
    const flat = await postJson(infer, { id: '42', inputs: [tensor(row(1, 2, 3))] })
    t.match(flat.body, { model_name: 'colours', model_version: '1', id: '42' })
    t.match(flat.body.outputs, [{ name: 'logits', shape: [1, 3], datatype: 'FP32' }])
    t.strictSame(flat.body.outputs[0].data.map(Math.round), [1, 2, 3])
    const plane = (value: number) =>
      Array.from({ length: SIDE }, () => Array.from({ length: SIDE }, () => value))
    const nested = await postJson(infer, { inputs: [tensor([[plane(1), plane(2), plane(3)]])] })
    t.strictSame(nested.body.outputs, flat.body.outputs)
    t.notOk('id' in nested.body)
  })

  await t.test('a batch, by version, each row with its own answer', async t => {
    const { body } = await postJson(`${url}/v2/models/colours/versions/1/infer`, {
      inputs: [tensor([...row(1, 0, 0), ...row(0, 0, 5)], [2, 3, SIDE, SIDE])],
    })
    t.strictSame(body.outputs[0].shape, [2, 3])
    t.strictSame(body.outputs[0].data.map(Math.round), [1, 0, 0, 0, 0, 5])
  })

  await t.test('encoded images in base64, with the classification extension', async t => {
    const images = await Promise.all([RED, GREEN].map(colour => plain(colour).jpeg().toBuffer()))
    const { body } = await postJson(infer, {
      inputs: [
        {
          name: 'input',
          shape: [2],
          datatype: 'BYTES',
          data: images.map(image => image.toString('base64')),
          parameters: { content_type: 'base64' },
        },
      ],
      outputs: [{ name: 'logits', parameters: { classification: 2 } }],
    })
    t.match(body.outputs[0], { datatype: 'BYTES', shape: [2, 2] })
    t.match(body.outputs[0].data[0], /^-?[\d.e+-]+:0:Red$/)
    t.match(body.outputs[0].data[2], /^-?[\d.e+-]+:1:Green$/)
  })

  await t.test('the binary extension, both ways', async t => {
    const data = Buffer.from(Float32Array.from(row(1, 2, 3)).buffer)
    const answer = await postBinary(infer, [data], {
      inputs: [{ ...tensor(undefined), parameters: { binary_data_size: data.length } }],
      outputs: [{ name: 'logits', parameters: { binary_data: true } }],
    })
    t.equal(answer.status, 200)
    t.match(answer.json.outputs, [{ name: 'logits', shape: [1, 3], parameters: { binary_data_size: 12 } }])
    t.strictSame([...new Float32Array(Uint8Array.from(answer.binary).buffer)].map(Math.round), [1, 2, 3])
  })

  await t.test('binary images behind their lengths, and binary classification', async t => {
    const photo = await plain(GREEN).jpeg().toBuffer()
    const length = Buffer.alloc(4)
    length.writeUInt32LE(photo.length)
    const answer = await postBinary(infer, [length, photo], {
      parameters: { binary_data_output: true },
      inputs: [
        { name: 'input', shape: [1], datatype: 'BYTES', parameters: { binary_data_size: photo.length + 4 } },
      ],
      outputs: [{ name: 'logits', parameters: { classification: 1 } }],
    })
    t.equal(answer.binary.readUInt32LE(), answer.binary.length - 4)
    t.match(answer.binary.toString('utf8', 4), /:1:Green$/)
  })

  await t.test('every mistake is a 400 in the protocol’s shape', async t => {
    const good = tensor(row(1, 2, 3))
    const mistakes: Readonly<Record<string, unknown>> = {
      'no inputs': {},
      'empty inputs': { inputs: [] },
      'broken JSON': '{',
      'an array': [],
      'another shape': {
        inputs: [
          tensor(
            Array.from({ length: 300 }, () => 0),
            [1, 3, 10, 10],
          ),
        ],
      },
      'another rank': { inputs: [tensor(row(1, 2, 3), [ROW])] },
      'shape and data that disagree': { inputs: [tensor([1, 2])] },
      'no data': { inputs: [tensor(undefined)] },
      'another type': { inputs: [{ ...good, datatype: 'INT64' }] },
      'text among numbers': { inputs: [tensor([...row(1, 2, 3).slice(1), 'x'])] },
      'an unknown input': { inputs: [{ ...good, name: 'nope' }] },
      'an input given twice': { inputs: [good, good] },
      'ragged rows of the right number': {
        inputs: [tensor([row(1, 2, 3).slice(1), [1]])],
      },
      'an unknown output': { inputs: [good], outputs: [{ name: 'nope' }] },
      'a negative dimension': { inputs: [tensor([], [-1, 3, SIDE, SIDE])] },
      'no rows': { inputs: [tensor([], [0, 3, SIDE, SIDE])] },
      'too many rows': { inputs: [{ name: 'input', shape: [65], datatype: 'BYTES', data: [] }] },
      'an image that is none': {
        inputs: [{ name: 'input', shape: [1], datatype: 'BYTES', data: ['aGVsbG8='] }],
      },
      'base64 that is none': { inputs: [{ name: 'input', shape: [1], datatype: 'BYTES', data: ['%%'] }] },
      'classification of nothing': {
        inputs: [good],
        outputs: [{ name: 'logits', parameters: { classification: 0 } }],
      },
    }
    for (const [name, body] of Object.entries(mistakes)) {
      const answer = await postJson(infer, body as object)
      t.equal(answer.status, 400, name)
      t.type(answer.body.error, 'string', name)
    }
  })

  await t.test('binary data that does not add up is a 400', async t => {
    const data = Buffer.alloc(ROW * 4)
    const declared = (size: number) => ({
      inputs: [{ ...tensor(undefined), parameters: { binary_data_size: size } }],
    })
    t.equal((await postBinary(infer, [data], declared(data.length + 4))).status, 400, 'cut short')
    t.equal((await postBinary(infer, [data], declared(8))).status, 400, 'too long')
    const both = { inputs: [{ ...tensor([1]), parameters: { binary_data_size: data.length } }] }
    t.match((await postBinary(infer, [data], both)).json.error, /both data and binary_data_size/)
    const header = { 'inference-header-content-length': '999999999' }
    t.equal((await postJson(infer, {}, header)).status, 400, 'a header longer than the body')
    t.equal((await postJson(infer, {}, { 'inference-header-content-length': 'x' })).status, 400, 'no number')
  })

  await t.test('an unknown model, version or route is a 404 in the protocol’s shape', async t => {
    for (const path of ['models/nope', 'models/colours/versions/9', 'models/nope/infer', 'nothing']) {
      const answer = await ask(`${url}/v2/${path}`)
      t.equal(answer.status, 404, path)
      t.type(answer.body.error, 'string', path)
    }
    t.equal((await postJson(`${url}/v2/models/nope/infer`, {})).status, 404)
  })
})

t.test('a bare ONNX file is served by its graph, without a version', async t => {
  const folder = t.testdir({ 'half_plus_two.onnx': halfPlusTwo() })
  const { url } = await startServer(t, `${folder}/half_plus_two.onnx`)
  const { body } = await postJson(`${url}/v2/models/half_plus_two/infer`, {
    inputs: [{ name: 'x', shape: [3], datatype: 'FP32', data: [1, 2, 5] }],
  })
  t.match(body.outputs, [{ name: 'y', shape: [3], data: [2.5, 3, 4.5] }])
  t.match(await ask(`${url}/version`), { status: 404, body: { error: { code: 'version_not_found' } } })
  t.equal((await postBytes(`${url}/predict`, Buffer.from('x'), 'image/png')).status, 400)
})

t.test('without a list of outputs, and with an empty one, all are answered', async t => {
  const folder = t.testdir({ 'two.onnx': sumAndProduct() })
  const { url } = await startServer(t, `${folder}/two.onnx`)
  const inputs = ['a', 'b'].map(name => ({ name, shape: [1], datatype: 'FP32', data: [3] }))
  for (const request of [{ inputs }, { inputs, outputs: [] }]) {
    const { body } = await postJson(`${url}/v2/models/two/infer`, request)
    t.match(body.outputs, [
      { name: 'sum', data: [6] },
      { name: 'product', data: [9] },
    ])
  }
  const one = await postJson(`${url}/v2/models/two/infer`, { inputs, outputs: [{ name: 'product' }] })
  t.strictSame(one.body.outputs.length, 1)
})

t.test('texts come as BYTES, in JSON and in binary, and are not ranked', async t => {
  const folder = t.testdir({ 'echo.onnx': echo() })
  const { url } = await startServer(t, `${folder}/echo.onnx`)
  const infer = `${url}/v2/models/echo/infer`
  const inputs = [{ name: 'text', shape: [2], datatype: 'BYTES', data: ['soup', 'Brötchen'] }]
  const { body } = await postJson(infer, { inputs })
  t.match(body.outputs, [{ name: 'same', datatype: 'BYTES', shape: [2], data: ['soup', 'Brötchen'] }])
  const binary = await postBinary(infer, [], { inputs, parameters: { binary_data_output: true } })
  t.equal(binary.binary.readUInt32LE(), 4)
  t.equal(binary.binary.toString('utf8', 4, 8), 'soup')
  t.equal(binary.binary.readUInt32LE(8), Buffer.byteLength('Brötchen'))
  const outputs = [{ name: 'same', parameters: { classification: 1 } }]
  t.match(await postJson(infer, { inputs, outputs }), { status: 400, body: { error: /cannot be ranked/ } })
})

t.test('a model that is not ready answers 503 on the health routes', async t => {
  const { url } = await startServer(t, `${t.testdir()}/nothing-here`)
  t.equal((await ask(`${url}/v2/health/live`)).status, 200)
  const ready = await ask(`${url}/v2/health/ready`)
  t.equal(ready.status, 503)
  t.type(ready.body.error, 'string')
})

async function postBinary(url: string, parts: readonly Uint8Array[], head: object) {
  const json = Buffer.from(JSON.stringify(head))
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    },
    body: new Blob([json, ...parts.map(part => Uint8Array.from(part))]),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  const jsonBytes = Number(response.headers.get('inference-header-content-length') ?? bytes.length)
  const parsed = JSON.parse(bytes.toString('utf8', 0, jsonBytes))
  return { status: response.status, json: parsed, binary: bytes.subarray(jsonBytes) }
}
