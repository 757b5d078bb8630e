import { PassThrough } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import { test } from 'tap'
import { KeptBody } from '../../gateway/worker/body.ts'
import { shareOf } from '../../gateway/worker/limits.ts'
import { startGateway } from './gateway-process.ts'
import { eventually, send, upstream } from './harness.ts'

test('limits are per gateway: each of N workers holds its part, and together they never let more through', async t => {
  const waiting: (() => void)[] = []
  let most = 0
  const { url } = await upstream(t, (_, response) => {
    waiting.push(() => void response.end('ok'))
    most = Math.max(most, waiting.length)
  })
  const gateway = await startGateway(
    t,
    [
      {
        name: 'food11',
        variants: { stable: { endpoints: [url], maxInFlight: 4, maxQueued: 0 } },
        weights: { stable: 100 },
        contract: 'none',
        probe: { enabled: false },
        timeoutMs: 60_000,
      },
    ],
    { workers: 2 },
  )
  const requests = Array.from({ length: 40 }, () => send(gateway.port))
  let shed = 0
  for (const request of requests) void request.then(({ status }) => status === 503 && shed++)
  t.ok(await eventually(() => waiting.length + shed === requests.length, 20_000))
  t.ok(most >= 2 && most <= 4, `${most} in flight at most`)
  for (const answer of waiting) answer()
  const answers = await Promise.all(requests)
  t.equal(answers.filter(({ status }) => status === 200).length, most)
})

test("a worker's part of a limit is at least one", async t => {
  t.same([shareOf(1024, 1), shareOf(1024, 3), shareOf(1, 4)], [1024, 342, 1])
})

test('what all bodies together keep is bounded: beyond it the next stream through, and the memory is given back', async t => {
  const memory = { limitBytes: 1000, usedBytes: 0 }
  const receive = (bytes: number) => {
    const request = Object.assign(new PassThrough(), { headers: {} }) as unknown as IncomingMessage
    const body = new KeptBody(request, {
      keepBytes: 800,
      maxBytes: 5000,
      memory,
      onTooLarge: () => t.fail('not too large'),
    })
    ;(request as unknown as PassThrough).end(Buffer.alloc(bytes))
    return new Promise<KeptBody>(resolve => body.whenComplete(() => resolve(body)))
  }
  const [first, second] = [await receive(700), await receive(700)]
  t.match([first.replayable, second.replayable], [true, false])
  t.equal(memory.usedBytes, 700)
  const tooLongToKeep = await receive(900)
  t.equal(tooLongToKeep.replayable, false)
  first.release()
  t.equal(memory.usedBytes, 0)
  t.equal((await receive(700)).replayable, true, 'there is room again')
  second.release()
  t.equal(memory.usedBytes, 700)
})
