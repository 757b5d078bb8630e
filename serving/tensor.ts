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

/** The lengths of nested arrays, as far as their first members tell: [[1, 2, 3], [4, 5, 6]] → [2, 3]. */
export function shapeOf(value: unknown): number[] {
  const shape: number[] = []
  for (let level = value; Array.isArray(level) && shape.length <= MAX_RANK; level = level[0])
    shape.push(level.length)
  return shape
}

/** The elements of nested or flat arrays in row-major order. Throws `bad_request` where rows differ in size or depth. */
export function flatten(name: string, value: unknown): unknown[] {
  const shape = shapeOf(value)
  if (shape.length > MAX_RANK) {
    throw new WeirError('bad_request', `data of "${name}" is nested more than ${MAX_RANK} deep`)
  }
  if (!isRegular(value, shape)) throw new WeirError('bad_request', `the rows of "${name}" differ in size`)
  if (!Array.isArray(value)) return [value]
  return shape.length === 1 ? value : value.flat(shape.length - 1)
}

function isRegular(value: unknown, [length, ...rest]: readonly number[]): boolean {
  if (length === undefined) return !Array.isArray(value)
  if (!Array.isArray(value) || value.length !== length) return false
  return rest.length === 0 ? !value.some(Array.isArray) : value.every(member => isRegular(member, rest))
}

/** Typed elements out of JSON values. Throws `bad_request` where one does not fit the type, or lies outside of its range. */
export function dataOfValues(type: TensorType, values: readonly unknown[]): TensorData {
  if (type === 'string') return values.map(value => (typeof value === 'string' ? value : misfit(type)))
  if (type === 'int64' || type === 'uint64')
    return BIG_ARRAYS[type].from(values.map(value => bigOf(type, value)))
  return NUMBER_ARRAYS[type].from(numbersOf(type, values))
}

const FLOAT32_MOST = 2 ** 128 - 2 ** 104

/** Typed arrays take what is outside of these round to the other end, or to infinity. */
const RANGES: Readonly<Record<keyof typeof NUMBER_ARRAYS, readonly [least: number, most: number]>> = {
  float32: [-FLOAT32_MOST, FLOAT32_MOST],
  float64: [-Number.MAX_VALUE, Number.MAX_VALUE],
  int8: [-(2 ** 7), 2 ** 7 - 1],
  uint8: [0, 2 ** 8 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  uint16: [0, 2 ** 16 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  bool: [0, 1],
}

function numbersOf(type: keyof typeof NUMBER_ARRAYS, values: readonly unknown[]): number[] {
  const [least, most] = RANGES[type]
  const mayBeFraction = type === 'float32' || type === 'float64'
  return values.map(value => {
    const number = type === 'bool' && typeof value === 'boolean' ? Number(value) : value
    const fits =
      typeof number === 'number' &&
      number >= least &&
      number <= most &&
      (mayBeFraction || Number.isInteger(number))
    return fits ? number : misfit(type)
  })
}

function bigOf(type: 'int64' | 'uint64', value: unknown): bigint {
  const fits = typeof value === 'number' && Number.isSafeInteger(value) && (type === 'int64' || value >= 0)
  return fits ? BigInt(value) : misfit(type)
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
  if (type === 'bool' && bytes.some(byte => byte > 1)) return misfit(type)
  return new ArrayType(buffer)
}

/** Little-endian, as every machine that this runs on is. */
export function bytesOfData(data: Exclude<TensorData, string[]>): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** Elements as JSON says them: whole numbers with all their digits, whether or not the client's parser keeps them. */
export function valuesOfData({ type, data }: NamedTensor): unknown[] {
  if (type === 'bool') return Array.from(data as Uint8Array, Boolean)
  return Array.from(data as ArrayLike<unknown>, value => (typeof value === 'bigint' ? inJson(value) : value))
}

// Node has it, TypeScript does not know it yet: https://github.com/tc39/proposal-json-parse-with-source
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

function inJson(value: bigint): unknown {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : rawJson(String(value))
}
