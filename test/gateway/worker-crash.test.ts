import { test, type Test } from 'tap'
import { isAlive } from '../../lib/shutdown.ts'
import { startGateway } from './gateway-process.ts'
import { eventually, namedUpstream, send, twoVariants, type Answer } from './harness.ts'

type Gateway = Awaited<ReturnType<typeof startGateway>>

const TO_STABLE = { weights: { stable: 100, candidate: 0 } }
const RESTART_LIMIT_MS = 20_000

async function twoWorkers(t: Test): Promise<Gateway> {
  const [stable, candidate] = [await namedUpstream(t, 'stable'), await namedUpstream(t, 'candidate')]
  return startGateway(t, [twoVariants(stable, candidate)], { workers: 2 })
}

function kill(pid: number | undefined): void {
  if (pid === undefined) throw new Error('there is no such worker')
  process.kill(pid, 'SIGKILL')
}

/** Both workers are up, neither is `gone`, and apply this version. */
function bothApply(gateway: Gateway, version: number, gone?: number): Promise<boolean> {
  return eventually(async () => {
    const { workers } = await gateway.client.status('food11')
    const applying = workers.filter(worker => worker.version === version)
    const pids = gateway.workers()
    return applying.length === 2 && pids.length === 2 && !pids.some(pid => pid === gone)
  }, RESTART_LIMIT_MS)
}

const SENDERS = 6
const MAX_REQUESTS = 50_000

/** Requests one after another from several senders, each on a connection of its own, until it is stopped. */
function load(port: number) {
  const answers: Answer[] = []
  let stopped = false
  const sender = async () => {
    while (!stopped && answers.length < MAX_REQUESTS) answers.push(await send(port))
  }
  const running = Promise.all(Array.from({ length: SENDERS }, sender))
  return {
    answers,
    async stop() {
      stopped = true
      await running
    },
  }
}

test('a worker killed -9 under load takes what it had in flight with it and nothing else; others go on, it comes back with the current policy', async t => {
  const gateway = await twoWorkers(t)
  const [first, second] = gateway.workers()
  const { answers, stop } = load(gateway.port)
  t.ok(await eventually(() => answers.length >= 50))

  kill(first)
  const { version } = await gateway.client.patchRoute('food11', TO_STABLE)
  const before = answers.length
  t.ok(await eventually(() => answers.length >= before + 50), 'the other one serves')
  t.ok(await bothApply(gateway, version, first), 'it comes back')

  kill(second)
  const since = answers.length + SENDERS // those may have begun before
  t.ok(await eventually(() => answers.length >= since + 50), 'what came back serves alone')
  t.ok(await bothApply(gateway, version, second))
  await stop()

  const failed = answers.filter(({ status }) => status !== 200)
  t.ok(failed.length <= 2 * SENDERS, `${failed.length} of ${answers.length} requests failed`)
  t.same(
    failed.filter(({ status }) => status !== 0),
    [],
    'those were connections that broke',
  )
  t.notOk(
    answers.slice(since).some(({ text }) => text === 'candidate'),
    'by the current policy',
  )
  t.equal(await gateway.total('weir_worker_restarts_total'), 2)
  t.match(await gateway.output(), /a worker ended; starting another/)
})

test('totals never fall when a worker dies', async t => {
  const gateway = await twoWorkers(t)
  const total = () => gateway.total('weir_requests_total')
  await Promise.all(Array.from({ length: 20 }, () => send(gateway.port)))
  t.equal(await total(), 20)
  const [first] = gateway.workers()
  kill(first)
  t.ok(await bothApply(gateway, 1, first))
  t.equal(await total(), 20)
  for (let n = 0; n < 10; n++) t.equal((await send(gateway.port)).status, 200)
  t.equal(await total(), 30)
})

test('a change while a worker is away is not said to be applied before it is back', async t => {
  const gateway = await twoWorkers(t)
  const [first] = gateway.workers()
  kill(first)
  const answer = await fetch(`${gateway.operator}/v1/routes/food11`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: JSON.stringify(TO_STABLE),
  })
  const { pending } = (await answer.json()) as { pending: string[] }
  t.equal(answer.status, pending.length > 0 ? 202 : 200)
  if (pending.length === 0) t.equal(gateway.workers().length, 2, 'it is back')
  t.ok(await bothApply(gateway, 2, first))
})

test('a worker that does not acknowledge is named, and replaced', async t => {
  const gateway = await twoWorkers(t)
  const [stopped] = gateway.workers()
  if (stopped !== undefined) process.kill(stopped, 'SIGSTOP')
  const late = await fetch(`${gateway.operator}/v1/routes/food11`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/merge-patch+json' },
    body: JSON.stringify(TO_STABLE),
  })
  t.equal(late.status, 202)
  t.match(await late.json(), { version: 2, pending: [/^worker-\d$/] })
  t.ok(await bothApply(gateway, 2, stopped))
  for (let n = 0; n < 10; n++) t.equal((await send(gateway.port)).text, 'stable')
})

test('when the primary is killed -9 its workers end: nobody would steer or count them', async t => {
  const gateway = await twoWorkers(t)
  const workers = gateway.workers()
  t.equal(workers.length, 2)
  kill(gateway.child.pid)
  await gateway.exited
  t.ok(await eventually(() => !workers.some(isAlive), RESTART_LIMIT_MS))
  t.equal((await send(gateway.port)).status, 0)
})
