import type { TensorType } from './model-manifest.ts'

const DATATYPES: Readonly<Record<TensorType, string>> = {
  float32: 'FP32',
  float64: 'FP64',
  int8: 'INT8',
  uint8: 'UINT8',
  int16: 'INT16',
  uint16: 'UINT16',
  int32: 'INT32',
  uint32: 'UINT32',
  int64: 'INT64',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
}

/** As the Open Inference Protocol names it. */
export function datatypeOf(type: TensorType): string {
  return DATATYPES[type]
}
