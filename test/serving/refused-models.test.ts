import { t } from 'tap'
import { foreignModelFormat } from '../../serving/model-format.ts'
import { colourManifest, writeModelFolder, type ModelFolder } from './model-folder.ts'
import { GREEN, noisy, plain, RED } from './photos.ts'
import { ask, postBytes, startServer } from './start-server.ts'
import { colourClassifier, halfPlusTwo } from './tiny-onnx.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

/** Starts a server on the folder and expects it to stay up, never ready, with the reason at every place that tells it. */
function refused(name: string, folder: () => ModelFolder | Promise<ModelFolder>, reason: RegExp): void {
  t.test(name, async t => {
    const { url } = await startServer(t, await writeModelFolder(t.testdir(), await folder()))
    const ready = await ask(`${url}/readyz`)
    t.match(ready, { status: 503, body: { error: { code: 'model_refused', message: reason } } })
    t.notMatch(ready.body.error.message, /\/tap|node_modules|\.ts:/)
    t.match(await ask(`${url}/test`), { status: 503, body: { error: { message: reason } } })
    t.equal((await ask(`${url}/v2/health/ready`)).status, 503)
    t.equal((await ask(`${url}/livez`)).status, 200)
    const predict = await postBytes(`${url}/predict`, await plain(RED).png().toBuffer(), 'image/png')
    t.match(predict, { status: 503, body: { error: { code: 'model_refused' } } })
  })
}

const foreign = (model: Buffer) => () => ({ model })
refused(
  'a pickle, of protocol 4',
  foreign(bytes('\x80\x04\x95\x0a\0\0\0\0\0\0\0\x8c\x05hello\x94.')),
  /pickle.*torch\.onnx/,
)
refused('a pickle, of protocol 0', foreign(bytes("cposix\nsystem\n(S'true'\ntR.")), /pickle/)
refused(
  'a PyTorch checkpoint',
  foreign(bytes('PK\x03\x04\0\0archive/data.pkl\x80\x02}q')),
  /PyTorch.*torch\.onnx/,
)
refused('an HDF5 file', foreign(bytes('\x89HDF\r\n\x1a\n\0\0\0')), /HDF5.*tf2onnx/)
refused('a Keras archive', foreign(bytes('PK\x03\x04\0\0metadata.json{}model.weights.h5')), /Keras.*tf2onnx/)
refused('a Keras model in JSON', foreign(bytes('{"class_name":"Sequential","config":{}}')), /Keras.*tf2onnx/)
refused(
  'a SavedModel',
  foreign(bytes('\x08\x01\x12\xa0\x02\x12\x9d\x02\x0a\x05serve')),
  /SavedModel.*tf2onnx/,
)
refused('a compressed joblib file', foreign(bytes('\x78\x9c\x03\0')), /joblib.*skl2onnx/)
refused('a file that is nothing', foreign(Buffer.alloc(100, 7)), /not ONNX/)
refused('an ONNX file cut short', foreign(colourClassifier().subarray(0, -20)), /not ONNX|cut short/)
refused('an empty file', foreign(Buffer.alloc(0)), /not ONNX/)

const manifest = (changes: Record<string, unknown>) => () => ({ manifest: colourManifest(changes) })
refused('another digest', manifest({ digest: `sha256:${'0'.repeat(64)}` }), /digest does not match/)
refused('a misspelt setting', manifest({ lables: [] }), /unknown setting "lables"/)
refused(
  'an input that the graph does not have',
  manifest({ input: { name: 'x', type: 'float32', shape: [-1, 3, 224, 224] } }),
  /no input "x"/,
)
refused(
  'another input type',
  manifest({ input: { name: 'input', type: 'uint8', shape: [-1, 3, 224, 224] } }),
  /float32 in the graph, uint8/,
)
refused(
  'a reference that does not exist',
  manifest({ reference: { image: 'a.jpg', tensor: 'a.png', label: 'Red' } }),
  /a\.jpg does not exist/,
)
refused(
  '1000 outputs for 3 labels',
  () => ({ model: colourClassifier({ classes: 1000 }) }),
  /shape \[-1, 1000\] in the graph, \[-1, 3\]/,
)
refused(
  'another input size',
  () => ({ model: colourClassifier({ side: 299 }) }),
  /shape \[-1, 3, 299, 299\] in the graph/,
)
refused('another kind of graph', () => ({ model: halfPlusTwo() }), /no input "input"/)

const architecture = (parameters: object, operators: string[]) =>
  manifest({ architecture: { family: 'MobileNetV2', precision: 'fp32', parameters, operators } })
refused(
  'too many parameters',
  architecture({ min: 1, max: 5 }, ['GlobalAveragePool', 'Flatten', 'MatMul']),
  /has 9 parameters/,
)
refused(
  'an undeclared operator',
  architecture({ min: 1, max: 50 }, ['GlobalAveragePool', 'Flatten']),
  /MatMul/,
)

const reference = { image: 'reference.jpg', tensor: 'reference.png', label: 'Red' }
const pixels = (colour: typeof RED) => plain(colour, 224, 224).png().toBuffer()
refused(
  'preprocessing that differs from training',
  async () => ({
    manifest: colourManifest({ reference }),
    files: {
      'reference.jpg': await plain(RED).jpeg().toBuffer(),
      'reference.png': await noisy(224, 224).png().toBuffer(),
    },
  }),
  /preprocessing differs from training.*0\.02/,
)
refused(
  'a model that says another label for the reference image',
  async () => ({
    manifest: colourManifest({ reference }),
    files: { 'reference.jpg': await plain(GREEN).png().toBuffer(), 'reference.png': await pixels(GREEN) },
  }),
  /must be "Red", the model says "Green"/,
)

const profile = (bounds: readonly number[], labels?: readonly number[]) => ({
  profile: { photos: 10, features: { brightness: { bounds, counts: [1, 2, 7] } }, labels },
})
refused(
  'a profile whose bounds do not rise',
  manifest(profile([0.5, 0.2])),
  /bounds of profile\.features\.brightness do not rise/,
)
refused('a profile of other labels', manifest(profile([0.2, 0.5], [5, 5])), /counts 2 labels, .* has 3/)

t.test('an ONNX file that was made from a SavedModel, and names it, is not taken for one', async t => {
  const names = ['saved_model_input', '\x12\x07\x0a\x05serve']
  for (const name of names) t.equal(foreignModelFormat(halfPlusTwo(name)), undefined)
})

const fixedBatch = (rows: number) => ({
  model: colourClassifier({ batch: rows }),
  manifest: colourManifest({
    input: { name: 'input', type: 'float32', shape: [rows, 3, 224, 224] },
    output: { name: 'logits', type: 'float32', shape: [rows, 3] },
  }),
})
refused('a graph of four rows', () => fixedBatch(4), /exactly 4 rows.*dynamic batch dimension/)

t.test('a graph of one row is served, but not in batches', async t => {
  const folder = await writeModelFolder(t.testdir(), fixedBatch(1))
  const { url } = await startServer(t, folder)
  const photo = await plain(RED).jpeg().toBuffer()
  t.match(await postBytes(`${url}/predict`, photo, 'image/jpeg'), { status: 200, body: { label: 'Red' } })
  const args = ['--workers', '1', '--threads', '1', '--max-batch', '4']
  const batched = await startServer(t, folder, { args })
  t.match((await ask(`${batched.url}/readyz`)).body.error.message, /--max-batch is 4, .*one row at a time/)
})

// an exception of the session took the thread, and with it the process, so a graph like this was never up for long
t.test('a batch that the graph cannot compute fails its requests and no others', async t => {
  const args = ['--workers', '1', '--threads', '1', '--max-batch', '2', '--max-delay-ms', '1000']
  const folder = await writeModelFolder(t.testdir(), { model: colourClassifier({ oneRow: true }) })
  const { url, lost } = await startServer(t, folder, { args })
  const photo = await plain(RED).jpeg().toBuffer()
  const send = () => postBytes(`${url}/predict`, photo, 'image/jpeg')
  const [one, other] = await Promise.all([send(), send()])
  t.match([one, other], [{ status: 500 }, { status: 500 }])
  t.match(one?.body.error, { code: 'internal', message: /the log of this process/ })
  t.match(await send(), { status: 200, body: { label: 'Red' } })
  t.equal(lost.length, 0)
})

t.test('the reference image is accepted when pixels and label agree', async t => {
  const folder = await writeModelFolder(t.testdir(), {
    manifest: colourManifest({ reference }),
    files: { 'reference.jpg': await plain(RED).png().toBuffer(), 'reference.png': await pixels(RED) },
  })
  const { url } = await startServer(t, folder)
  t.equal((await ask(`${url}/readyz`)).status, 200)
  t.match((await ask(`${url}/test`)).body, { image: 'reference.jpg', expected: 'Red', correct: true })
})
