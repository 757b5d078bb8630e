import { WeirError } from '../contract/errors.ts'
import type { TensorSpec, TensorType } from '../contract/model-manifest.ts'

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | string[]

export interface NamedTensor {
  readonly name: string
  readonly type: TensorType
  readonly shape: readonly number[]
  /** Row-major; bool as 0 and 1. */
  readonly data: TensorData
}

const NUMBER_ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  bool: Uint8Array,
} as const

const BIG_ARRAYS = { int64: BigInt64Array, uint64: BigUint64Array } as const

const MAX_RANK = 8

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1)
}

/** Throws `bad_request` naming what differs from the model's own shape. */
export function checkShape(spec: TensorSpec, shape: readonly number[]): void {
  const fits =
    shape.length === spec.shape.length &&
    shape.every((dimension, index) => spec.shape[index] === -1 || spec.shape[index] === dimension)
  if (fits) return
  throw new WeirError(
    'bad_request',
    `input "${spec.name}" has shape [${spec.shape.join(', ')}], the request has [${shape.join(', ')}]`,
  )
}

/** The elements of nested or flat arrays in row-major order. */
export function flatten(value: unknown, depth = 0): unknown[] {
  if (!Array.isArray(value)) return [value]
  if (!value.some(Array.isArray)) return value
  if (depth === MAX_RANK) throw new WeirError('bad_request', `data is nested more than ${MAX_RANK} deep`)
  return value.flatMap(member => flatten(member, depth + 1))
}

/** The lengths of nested arrays, which must be regular: [[1, 2, 3], [4, 5, 6]] → [2, 3]. */
export function shapeOf(value: unknown): number[] {
  const shape: number[] = []
  for (let level = value; Array.isArray(level) && shape.length <= MAX_RANK; level = level[0])
    shape.push(level.length)
  return shape
}

/** Typed elements out of JSON values. Throws `bad_request` where one does not fit the type. */
export function dataOfValues(type: TensorType, values: readonly unknown[]): TensorData {
  if (type === 'string') return values.map(value => (typeof value === 'string' ? value : misfit(type)))
  if (type === 'int64' || type === 'uint64')
    return BIG_ARRAYS[type].from(values.map(value => bigOf(type, value)))
  return NUMBER_ARRAYS[type].from(values.map(value => numberOf(type, value)))
}

function numberOf(type: TensorType, value: unknown): number {
  if (type === 'bool' && typeof value === 'boolean') return Number(value)
  if (typeof value !== 'number' || (!type.startsWith('float') && !Number.isInteger(value)))
    return misfit(type)
  return value
}

function bigOf(type: TensorType, value: unknown): bigint {
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : misfit(type)
}

function misfit(type: TensorType): never {
  throw new WeirError('bad_request', `data has an element that is not ${type}`)
}

/** Typed elements out of little-endian bytes, copied since they may lie at any offset. */
export function dataOfBytes(type: TensorType, bytes: Uint8Array): TensorData {
  const { buffer } = Uint8Array.from(bytes)
  if (type === 'string') throw new WeirError('bad_request', 'binary text needs a length before each element')
  const ArrayType = type === 'int64' || type === 'uint64' ? BIG_ARRAYS[type] : NUMBER_ARRAYS[type]
  if (bytes.byteLength % ArrayType.BYTES_PER_ELEMENT !== 0) {
    throw new WeirError(
      'bad_request',
      `binary data of ${bytes.byteLength} bytes is no whole number of ${type}`,
    )
  }
  return new ArrayType(buffer)
}

/** Little-endian, as every machine that this runs on is. */
export function bytesOfData(data: Exclude<TensorData, string[]>): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** Elements as JSON can say them. */
export function valuesOfData({ type, data }: NamedTensor): unknown[] {
  if (type === 'bool') return Array.from(data as Uint8Array, Boolean)
  return Array.from(data as ArrayLike<unknown>, value => (typeof value === 'bigint' ? Number(value) : value))
}
