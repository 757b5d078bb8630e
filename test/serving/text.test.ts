import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { ask, postJson, startServer } from './start-server.ts'
import { tinyTokenizer } from './tiny-tokenizer.ts'
import { tokenCounter } from './tiny-onnx.ts'

const { json, idOf, size } = tinyTokenizer(['good', 'Ġgood', 'bad', 'Ġbad'])
const MODEL = tokenCounter(size, [idOf('good'), idOf('Ġgood')], [idOf('bad'), idOf('Ġbad')])
const MANIFEST = {
  name: 'sentiment',
  version: '9',
  labels: ['negative', 'positive'],
  input: { name: 'input', type: 'int64', shape: [-1, -1] },
  output: { name: 'output', type: 'float32', shape: [-1, 2] },
  preprocessing: { kind: 'text', maxTokens: 20 },
}
const files = { 'tokenizer.json': Buffer.from(JSON.stringify(json)) }

t.test('a text is tokenised and classified', async t => {
  const { url } = await startServer(
    t,
    await writeModelFolder(t.testdir(), { manifest: MANIFEST, model: MODEL, files }),
  )
  t.match(await postJson(`${url}/predict`, ['good soup, good bread']), {
    status: 200,
    body: { positive: true, label: 'positive', model: 'sentiment', model_version: '9' },
  })
  t.match((await postJson(`${url}/predict`, ['bad 🍜 and not good, bad'])).body, { positive: false })
  const beyondTheLimit = `good ${'x'.repeat(50)} bad bad`
  t.match((await postJson(`${url}/predict`, [beyondTheLimit])).body, { positive: true })
})

t.test('the ids can be sent over v2 as well', async t => {
  const { url } = await startServer(
    t,
    await writeModelFolder(t.testdir(), { manifest: MANIFEST, model: MODEL, files }),
  )
  const input = { name: 'input', shape: [1, 2], datatype: 'INT64', data: [idOf('good'), idOf('good')] }
  const { body } = await postJson(`${url}/v2/models/sentiment/infer`, { inputs: [input] })
  t.strictSame(body.outputs[0].data, [0, 2])
  const outside = await postJson(`${url}/v2/models/sentiment/infer`, {
    inputs: [{ ...input, data: [0, 9_999_999] }],
  })
  t.match(outside, { status: 400, body: { error: /cannot compute these values/ } })
})

t.test('bad texts are refused', async t => {
  const { url } = await startServer(
    t,
    await writeModelFolder(t.testdir(), { manifest: MANIFEST, model: MODEL, files }),
  )
  for (const body of [[], [''], ['a', 'b'], [1], {}, 'null', '[', ['x'.repeat(100_001)]]) {
    const { status, body: answer } = await postJson(`${url}/predict`, body)
    t.equal(status, 400)
    t.match(answer.error.code, /^(bad_request|invalid_json)$/)
  }
})

t.test('without its tokenizer, or with another, the model is refused', async t => {
  const without = await startServer(
    t,
    await writeModelFolder(t.testdir({ a: {} }), { manifest: MANIFEST, model: MODEL }),
  )
  t.match((await ask(`${without.url}/readyz`)).body.error.message, /tokenizer\.json does not exist/)
  const manifest = { ...MANIFEST, preprocessing: { kind: 'text', tokenizerSha256: '0'.repeat(64) } }
  const other = await startServer(
    t,
    await writeModelFolder(t.testdir({ b: {} }), { manifest, model: MODEL, files }),
  )
  t.match((await ask(`${other.url}/readyz`)).body.error.message, /not the tokenizer that model\.json names/)
})
