import t from 'tap'
import { createTrafficMeter } from '../../controller/evidence/traffic.ts'

const look = (t: number, stable: number | null, candidate = 0) => ({
  t,
  series: [
    { id: 'gw-0', variant: 'stable', requests: stable, failures: 0 },
    { id: 'gw-0', variant: 'candidate', requests: candidate, failures: 0 },
  ],
})

t.test('the rate is that of all variants, told from five seconds on', async t => {
  const meter = createTrafficMeter()
  for (let second = 0; second < 5; second++) meter.step(look(second, 1000 + 18 * second, 2 * second))
  t.equal(meter.read(), undefined)
  meter.step(look(5, 1090, 10))
  t.match(meter.read(), { requestsPerSecond: 20, stable: { requests: 90, failures: 0 } })
})

t.test('only the last minute counts', async t => {
  const meter = createTrafficMeter()
  for (let second = 0; second <= 100; second++) meter.step(look(second, 10 * second))
  for (let second = 101; second <= 161; second++) meter.step(look(second, 1000 + 50 * (second - 100)))
  t.match(meter.read(), { requestsPerSecond: 50 })
})

t.test('an outage of the metrics, a restart and a NaN are no traffic and no lack of it', async t => {
  const meter = createTrafficMeter()
  meter.step(look(0, 0))
  meter.step({ t: 5, series: [] })
  meter.step(look(10, 100))
  meter.step(look(15, null, 0))
  meter.step(look(20, 50))
  t.match(meter.read(), { requestsPerSecond: 7.5 })
})

t.test('an hour without looks tells its average only until there is something newer', async t => {
  const meter = createTrafficMeter()
  for (let second = 0; second <= 60; second++) meter.step(look(second, 20 * second))
  meter.step(look(3660, 1200 + 3600))
  t.match(meter.read(), { requestsPerSecond: 1 })
  for (let second = 1; second <= 5; second++) meter.step(look(3660 + second, 4800 + 50 * second))
  t.match(meter.read(), { requestsPerSecond: 50 })
})

t.test('looks further apart than a minute tell of the last of them', async t => {
  const meter = createTrafficMeter()
  for (const [minute, requests] of [0, 600, 6600].entries()) meter.step(look(300 * minute, requests))
  t.match(meter.read(), { requestsPerSecond: 20 })
})
