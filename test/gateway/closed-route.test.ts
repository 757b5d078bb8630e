import t from 'tap'
import { namedUpstream, startWorker, twoVariants } from './harness.ts'

t.test('a closed route says when to try again, and a notice goes with every answer before', async t => {
  const stable = await namedUpstream(t, 'stable')
  const route = (settings: object) => twoVariants(stable, stable, settings)
  const worker = await startWorker(t, [route({ notice: 'closed at noon' })])
  const told = await worker.send()
  t.match(told, { status: 200, headers: { 'x-weir-notice': 'closed at noon' } })
  await worker.set(route({ weights: { stable: 0, candidate: 0 }, closedRetryAfterSeconds: 30 }))
  t.match(await worker.send(), { status: 503, headers: { 'retry-after': '30' }, text: /route_closed/ })
  await worker.set(route({}))
  const after = await worker.send()
  t.equal(after.status, 200)
  t.notOk('x-weir-notice' in after.headers)
})

// A refused upload was answered without the header, so photos got none while a route was closed.
t.test('a closed route says so to uploads, too', async t => {
  const stable = await namedUpstream(t, 'stable')
  const closed = twoVariants(stable, stable, {
    weights: { stable: 0, candidate: 0 },
    closedRetryAfterSeconds: 30,
  })
  const worker = await startWorker(t, [closed])
  const upload = await worker.send({ method: 'POST', path: '/predict', body: 'x'.repeat(100_000) })
  t.match(upload, { status: 503, headers: { 'retry-after': '30' }, text: /route_closed/ })
})
