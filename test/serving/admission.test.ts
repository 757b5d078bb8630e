import { t } from 'tap'
import type { Clock } from '../../lib/clock.ts'
import { createAdmission, type AdmissionLimits } from '../../serving/admission.ts'
import type { DispatchedTask, TaskResult } from '../../serving/inference-messages.ts'
import { createServiceTime } from '../../serving/service-time.ts'

const STAGES = { decodeMs: 2, preprocessMs: 0, inferMs: 10 }
const DONE: TaskResult = {
  ok: true,
  stages: STAGES,
  observations: [],
  answer: { contentType: '', headers: {}, body: '' },
}
const LIMITS: AdmissionLimits = { maxQueue: 2, maxHeldBytes: 1000, maxBatch: 1, maxDelayMs: 0 }

/** One inference thread that takes one dispatch, and finishes it when the test says so. */
function setUp(limits: Partial<AdmissionLimits> = {}) {
  let now = 1000
  const clock: Clock = { now: () => now, sleep: async () => undefined }
  const dispatched: { tasks: readonly DispatchedTask[]; finish: () => Promise<void> }[] = []
  let busy = 0
  const pool = {
    workers: 1,
    free: () => 1 - busy,
    dispatch: (tasks: readonly DispatchedTask[]) =>
      new Promise<readonly TaskResult[]>(resolve => {
        busy += 1
        const finish = async () => {
          busy -= 1
          resolve(tasks.map(() => DONE))
          await new Promise(setImmediate)
        }
        dispatched.push({ tasks, finish })
      }),
  }
  const admission = createAdmission({
    pool,
    serviceTime: createServiceTime(),
    clock,
    limits: { ...LIMITS, ...limits },
  })
  const task = (bytes = 10) => ({ protocol: 'tfs-v1', body: new Uint8Array(bytes) }) as const
  return { admission, dispatched, task, pass: (ms: number) => (now += ms) }
}

t.test('what does not fit the queue is overloaded, with a time to come back', async t => {
  const { admission, dispatched, task } = setUp()
  const running = admission.submit({ task: task() })
  const queued = [admission.submit({ task: task() }), admission.submit({ task: task() })]
  await t.rejects(admission.submit({ task: task() }), {
    code: 'overloaded',
    statusCode: 503,
    retryAfterSeconds: 1,
    details: { reason: 'queue_full' },
  })
  t.equal(admission.depth(), 2)
  for (let n = 0; n < 3; n++) await dispatched[n]?.finish()
  await Promise.all([running, ...queued])
  t.equal(admission.depth(), 0)
})

// 128 requests whose clients had gone kept everybody else out until their turn came
t.test('a client that goes away gives its place in the queue to others at once', async t => {
  const { admission, dispatched, task } = setUp()
  const running = admission.submit({ task: task() })
  const client = new AbortController()
  const gone = [1, 2].map(() => admission.submit({ task: task(), signal: client.signal }))
  const refusals = gone.map(one => t.rejects(one, { code: 'client_closed_request' }))
  client.abort()
  await Promise.all(refusals)
  t.equal(admission.depth(), 0)
  const next = admission.submit({ task: task(900) })
  await dispatched[0]?.finish()
  await dispatched[1]?.finish()
  await Promise.all([running, next])
})

t.test('a body counts until it is computed', async t => {
  const { admission, dispatched, task } = setUp()
  const running = admission.submit({ task: task(900) })
  await t.rejects(admission.submit({ task: task(200) }), { code: 'overloaded' })
  await dispatched[0]?.finish()
  await running
  const next = admission.submit({ task: task(900) })
  await dispatched[1]?.finish()
  await next
})

t.test('the queue is bounded by bytes too', async t => {
  const { admission, dispatched, task } = setUp()
  const running = admission.submit({ task: task() })
  const queued = admission.submit({ task: task(900) })
  await t.rejects(admission.submit({ task: task(200) }), { code: 'overloaded' })
  await dispatched[0]?.finish()
  await dispatched[1]?.finish()
  await Promise.all([running, queued])
})

t.test('what nobody waits for any more is not computed', async t => {
  const { admission, dispatched, task, pass } = setUp()
  const running = admission.submit({ task: task() })
  const client = new AbortController()
  const gone = admission.submit({ task: task(), signal: client.signal })
  const late = admission.submit({ task: task(), deadlineAt: 1500 })
  const refusals = [
    t.rejects(gone, { code: 'client_closed_request' }),
    t.rejects(late, { code: 'deadline_exceeded', statusCode: 504 }),
  ]
  client.abort()
  pass(600)
  await dispatched[0]?.finish()
  await running
  await Promise.all(refusals)
  t.equal(dispatched.length, 1)
})

t.test('a deadline that the queue cannot meet is refused at once; an idle server tries', async t => {
  const { admission, dispatched, task } = setUp()
  const running = admission.submit({ task: task(), deadlineAt: 1001 })
  await t.rejects(admission.submit({ task: task(), deadlineAt: 1010 }), {
    code: 'overloaded',
    details: { reason: 'deadline' },
  })
  const patient = admission.submit({ task: task(), deadlineAt: 9000 })
  await dispatched[0]?.finish()
  await dispatched[1]?.finish()
  await Promise.all([running, patient])
  await t.rejects(admission.submit({ task: task(), deadlineAt: 999 }), { code: 'deadline_exceeded' })
})

t.test('waiting requests share a batch, up to its size', async t => {
  const { admission, dispatched, task } = setUp({ maxBatch: 4, maxQueue: 10 })
  const all = Array.from({ length: 6 }, () => admission.submit({ task: task() }))
  t.strictSame(
    dispatched.map(({ tasks }) => tasks.length),
    [1],
  )
  await dispatched[0]?.finish()
  t.strictSame(
    dispatched.map(({ tasks }) => tasks.length),
    [1, 4],
  )
  await dispatched[1]?.finish()
  await dispatched[2]?.finish()
  await Promise.all(all)
})

t.test('with a delay, a first request waits for others until its batch is full', async t => {
  const { admission, dispatched, task } = setUp({ maxBatch: 2, maxDelayMs: 1000, maxQueue: 10 })
  const first = admission.submit({ task: task() })
  t.equal(dispatched.length, 0)
  const second = admission.submit({ task: task() })
  t.strictSame(
    dispatched.map(({ tasks }) => tasks.length),
    [2],
  )
  await dispatched[0]?.finish()
  await Promise.all([first, second])
})
