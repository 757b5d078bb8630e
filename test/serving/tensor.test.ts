import { t } from 'tap'
import type { TensorType } from '../../contract/model-manifest.ts'
import { dataOfBytes, dataOfValues, flatten, valuesOfData } from '../../serving/tensor.ts'

const bad = { code: 'bad_request', statusCode: 400 }

// typed arrays take 300 for 44, -1 for 255 and 1e39 for infinity, so the model answered for numbers that nobody sent
const ranges: readonly (readonly [TensorType, readonly number[], readonly unknown[]])[] = [
  ['int8', [-128, 127], [-129, 128, 300, 0.5, '1', null, true]],
  ['uint8', [0, 255], [-1, 256]],
  ['int16', [-32_768, 32_767], [-32_769, 32_768]],
  ['uint16', [0, 65_535], [-1, 65_536]],
  ['int32', [-(2 ** 31), 2 ** 31 - 1], [2 ** 31]],
  ['uint32', [0, 2 ** 32 - 1], [-1, 2 ** 32]],
  ['int64', [-(2 ** 53) + 1, 2 ** 53 - 1], [2 ** 53, 0.5, '1']],
  ['uint64', [0, 2 ** 53 - 1], [-1, 2 ** 53]],
  ['float32', [-3.4e38, 0.5, 3.4e38], [3.5e38, -1e39, Number.POSITIVE_INFINITY, '1', null, [1]]],
  ['float64', [-1e308, 1e308], [Number.POSITIVE_INFINITY]],
  ['bool', [0, 1], [2, -1, 0.5, 'true']],
]
for (const [type, inside, outside] of ranges) {
  t.test(`${type} takes what is in its range and refuses what is not`, async t => {
    t.equal(dataOfValues(type, inside).length, inside.length)
    for (const value of outside) t.throws(() => dataOfValues(type, [value]), bad, String(value))
  })
}

t.test('binary truth values are 0 and 1', async t => {
  t.strictSame([...dataOfBytes('bool', Buffer.from([0, 1]))], [0, 1])
  t.throws(() => dataOfBytes('bool', Buffer.from([2])), bad)
})

t.test('rows must be of one size and depth, whatever their elements add up to', async t => {
  t.strictSame(flatten('x', [1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6])
  t.strictSame(
    flatten('x', [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
    ]),
    [1, 2, 3, 4, 5, 6, 7, 8],
  )
  t.strictSame(flatten('x', 7), [7])
  t.strictSame(flatten('x', [[], []]), [])
  for (const ragged of [
    [[1, 2], [3], [4, 5, 6]],
    [
      [1, [2]],
      [3, 4],
    ],
    [1, [2]],
    [[1], 2],
    [[[1]], [[2, 3]]],
  ]) {
    t.throws(() => flatten('x', ragged), { ...bad, message: /rows of "x" differ/ }, JSON.stringify(ragged))
  }
  t.throws(() => flatten('x', JSON.parse(`${'['.repeat(9)}1${']'.repeat(9)}`)), { ...bad, message: /8 deep/ })
})

t.test('whole numbers of 64 bits keep all their digits', async t => {
  const data = BigInt64Array.from([9_007_199_254_740_993n, -(2n ** 63n), 5n])
  const values = valuesOfData({ name: 'x', type: 'int64', shape: [3], data })
  t.equal(JSON.stringify(values), '[9007199254740993,-9223372036854775808,5]')
})
