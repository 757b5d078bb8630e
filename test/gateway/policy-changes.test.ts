import { Agent, request as httpRequest } from 'node:http'
import { test, type Test } from 'tap'
import { startGateway } from './gateway-process.ts'
import { eventually, namedUpstream, startWorker, twoVariants, upstream } from './harness.ts'

type Weights = Readonly<Record<string, number>>

/** A change in the order made; in force somewhere from when it was asked for until the next is applied everywhere. */
interface Change {
  readonly weights: Weights
  readonly askedAt: number
  appliedAt: number
}

interface Served {
  readonly from: number
  readonly to: number
  readonly status: number
  readonly variant: string
}

const SENDERS = 8
const CHANGES = 200
/** 1,000 a minute, or as near as the machine comes. */
const CHANGE_EVERY_MS = 60
const WEIGHTS: readonly Weights[] = [
  { stable: 100, candidate: 0 },
  { stable: 0, candidate: 100 },
  { stable: 50, candidate: 50 },
]

/** Senders on kept connections, half of them with a sticky key, until they are stopped. */
function load(t: Test, port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: SENDERS })
  t.teardown(() => agent.destroy())
  const served: Served[] = []
  let stopped = false
  const ask = (headers: Record<string, string>) =>
    new Promise<Served>((resolve, reject) => {
      const from = performance.now()
      const request = httpRequest({ port, path: '/x', method: 'POST', headers, agent }, response => {
        response.on('error', reject)
        response.resume().on('end', () => {
          const variant = String(response.headers['x-weir-variant'])
          resolve({ from, to: performance.now(), status: response.statusCode ?? 0, variant })
        })
      })
      request.on('error', reject)
      request.end('photo')
    })
  const sender = async (number: number) => {
    for (let n = 0; !stopped; n++) served.push(await ask(number % 2 ? { 'x-user-id': `user-${n}` } : {}))
  }
  const running = Promise.all(Array.from({ length: SENDERS }, (_, number) => sender(number)))
  return {
    served,
    async stop() {
      stopped = true
      await running
    },
  }
}

test('1,000 policy changes a minute under load: no request fails, none goes to a variant whose weight was 0 in every policy in force during it', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const policy = twoVariants(stable, candidate, {
    weights: WEIGHTS[0],
    sticky: { header: 'x-user-id' },
    fallback: undefined, // it would hide a failure
    timeoutMs: 20_000,
  })
  const gateway = await startGateway(t, [policy], { workers: 2 })
  const changes: Change[] = [{ weights: WEIGHTS[0] ?? {}, askedAt: -Infinity, appliedAt: -Infinity }]
  const { served, stop } = load(t, gateway.port)
  t.ok(await eventually(() => served.length >= 50))
  const startedAt = performance.now()
  for (let n = 1; n <= CHANGES; n++) {
    const waitMs = startedAt + n * CHANGE_EVERY_MS - performance.now()
    if (waitMs > 0) await new Promise(resolve => setTimeout(resolve, waitMs))
    const change: Change = {
      weights: WEIGHTS[n % WEIGHTS.length] ?? {},
      askedAt: performance.now(),
      appliedAt: Infinity,
    }
    changes.push(change)
    const { applied, version } = await gateway.client.patchRoute('food11', { weights: change.weights })
    change.appliedAt = performance.now()
    if (!applied || version !== n + 1) t.fail(`change ${n}: applied ${applied}, version ${version}`)
    await eventually(() => served.some(({ from }) => from > change.appliedAt)) // one that has this policy for sure
  }
  const tookMs = performance.now() - startedAt
  await stop()
  t.comment(
    `${Math.round((CHANGES * 60_000) / tookMs)} changes a minute, ${served.length} requests meanwhile`,
  )

  t.same(
    served.filter(({ status }) => status !== 200),
    [],
    'no request fails',
  )
  t.same(
    served.filter(request => !mayServe(request, changes)),
    [],
    'none goes astray',
  )
  const certain = served.filter(request => inForce(request, changes).length === 1)
  t.ok(certain.length >= CHANGES, `${certain.length} had just one policy in force`)
})

/** The weights that some worker may have gone by while the request was under way. */
function inForce({ from, to }: Served, changes: readonly Change[]): Weights[] {
  return changes
    .filter(({ askedAt }, index) => askedAt <= to && (changes[index + 1]?.appliedAt ?? Infinity) >= from)
    .map(({ weights }) => weights)
}

function mayServe(request: Served, changes: readonly Change[]): boolean {
  return inForce(request, changes).some(weights => (weights[request.variant] ?? 0) > 0)
}

test('one policy snapshot per request: fallback and mirror go by the policy that it began with', async t => {
  let fail: (() => void) | undefined
  const candidate = await upstream(t, (_, response) => {
    fail = () => void response.writeHead(500).end()
  })
  const copied: string[] = []
  const policy = async (age: string) => {
    const shadow = await upstream(t, (_, response) => {
      copied.push(age)
      response.end()
    })
    const stable = await namedUpstream(t, `${age} stable`)
    return twoVariants(stable, candidate.url, {
      variants: {
        stable: { endpoints: [stable] },
        candidate: { endpoints: [candidate.url] },
        shadow: { endpoints: [shadow.url] },
      },
      mirror: { to: 'shadow', percent: 100 },
      sticky: { cookie: age },
      timeoutMs: 20_000,
    })
  }
  const worker = await startWorker(t, [await policy('old')])
  const pending = worker.send({ method: 'POST', body: 'photo' })
  t.ok(await eventually(() => fail !== undefined))
  await worker.set(await policy('new'))
  fail?.()
  t.match(await pending, { status: 200, text: 'old stable', headers: { 'set-cookie': [/^old=/] } })
  t.ok(await eventually(() => copied.length === 1))
  t.same(copied, ['old'])
  t.match(await worker.send({ headers: { 'x-weir-variant': 'stable' } }), { text: 'new stable' })
})

test('a change that leaves the weights alone leaves the split where it is: counts stay exact', async t => {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  const policy = (n: number) =>
    twoVariants(stable, candidate, { weights: { stable: 90, candidate: 10 }, timeoutMs: 10_000 + n })
  const worker = await startWorker(t, [policy(0)])
  let candidates = 0
  for (let n = 1; n <= 40; n++) {
    if ((await worker.send()).text === 'candidate') candidates++
    t.ok(Math.abs(candidates - n / 10) < 1, `${candidates} of ${n}`)
    await worker.set(policy(n))
  }
  t.equal(candidates, 4)
})
