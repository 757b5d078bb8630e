import { t } from 'tap'
import { createServiceTime, type ServiceTime } from '../../serving/service-time.ts'

const PHOTO_BYTES = 60_000

function measured(
  times: number,
  bodyBytes: number,
  { decodeMs = 3, inferMs = 7 } = {},
  on = createServiceTime(),
) {
  for (let n = 0; n < times; n++) on.observe({ decodeMs, preprocessMs: 0, inferMs }, bodyBytes)
  return on
}
const near = (time: ServiceTime, bytes: number, ms: number) => Math.abs(time.estimateMs(bytes) - ms) < ms / 20

t.test('what was measured is expected again, more for larger bodies', async t => {
  const time = measured(200, PHOTO_BYTES)
  t.ok(near(time, PHOTO_BYTES, 10), String(time.estimateMs(PHOTO_BYTES)))
  t.ok(near(time, 10 * PHOTO_BYTES, 37), String(time.estimateMs(10 * PHOTO_BYTES)))
  t.ok(near(measured(200, 20_000, { decodeMs: 8, inferMs: 2 }, time), 20_000, 10), 'and forgotten in time')
})

// 20 requests of two bytes turned away everybody with a deadline, and told the others to come back in minutes
t.test('mistakes of a few bytes do not make photos look slow', async t => {
  const time = measured(200, PHOTO_BYTES)
  measured(40, 2, { decodeMs: 0.2, inferMs: 0 }, time)
  t.ok(near(time, PHOTO_BYTES, 10), String(time.estimateMs(PHOTO_BYTES)))
  for (const bytes of [0, 2, 100]) measured(1000, bytes, { decodeMs: 0.2, inferMs: 0 }, time)
  t.ok(near(time, PHOTO_BYTES, 10), String(time.estimateMs(PHOTO_BYTES)))
})
