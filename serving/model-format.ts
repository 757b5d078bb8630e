/**
 * What a file is when it is a model, but not an ONNX one; undefined when it may be ONNX. Goes by the content: files that run
 * code when they are loaded (pickle and what is built on it) must not get in under another name.
 */
export function foreignModelFormat(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, HEAD_BYTES)).toString(
    'latin1',
  )
  if (head.startsWith('PK\u0003\u0004')) return zipFormat(bytes)
  const found = SIGNATURES.find(([, pattern]) => pattern.test(head))
  return found?.[0]
}

/** One sentence for whoever has such a file: how it becomes ONNX. */
export function howToExport(format: string): string {
  return `the model file is ${format}, not ONNX; ${EXPORTERS.find(([word]) => format.includes(word))?.[1] ?? PYTORCH_EXPORT}`
}

const HEAD_BYTES = 4096

const SIGNATURES: readonly (readonly [string, RegExp])[] = [
  ['an HDF5 (Keras) file', /^\x89HDF\r\n\x1a\n/], // oxlint-disable-line no-control-regex
  ['a Python pickle', /^\x80[\x01-\x05]/], // oxlint-disable-line no-control-regex
  ['a Python pickle', /^(c__builtin__|cbuiltins|c[\w.]+\n\w+\n|\(d?p\d|\(lp\d|\(i)/], // protocol 0
  ['a compressed joblib file', /^(\x1f\x8b|\x78[\x01\x5e\x9c\xda]|BZh|\xfd7zXZ\x00|\x04\x22\x4d\x18)/], // oxlint-disable-line no-control-regex
  ['a Keras model in JSON', /^\s*\{[\s\S]*"(class_name|keras_version)"/],
  ['a safetensors file', /^.{8}\{"/s],
  // its first field, the version of its schema, has ever been 1; in ONNX files this is the version of the format, 3 or more
  ['a TensorFlow SavedModel', /^\x08\x01\x12/], // oxlint-disable-line no-control-regex
  ['a TensorFlow Lite file', /^.{4}TFL3/s],
]

/** PyTorch, Keras and NumPy all save ZIP archives; the names inside tell them apart. */
function zipFormat(bytes: Uint8Array): string {
  const archive = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (archive.includes('model.weights.h5') || archive.includes('metadata.json')) return 'a Keras archive'
  if (archive.includes('/data.pkl') || archive.includes('data.pkl')) return 'a PyTorch checkpoint (.pt, .pth)'
  if (archive.includes('.npy')) return 'a NumPy archive'
  return 'a ZIP archive'
}

const PYTORCH_EXPORT =
  'load it where it was made and write it with torch.onnx.export (docs/serving.md shows how)'
const TENSORFLOW_EXPORT = 'convert it with python -m tf2onnx.convert (docs/serving.md shows how)'

const EXPORTERS: readonly (readonly [string, string])[] = [
  ['Keras', TENSORFLOW_EXPORT],
  ['TensorFlow', TENSORFLOW_EXPORT],
  ['joblib', 'convert the estimator with skl2onnx (docs/serving.md shows how)'],
]
