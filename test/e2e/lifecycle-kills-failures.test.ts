import t from 'tap'
import { z } from 'zod'
import { gateResult } from '../../contract/gate.ts'
import { writeCustomFolder } from '../serving/custom-folder.ts'
import { COLOURS } from '../serving/model-folder.ts'
import { colourClassifier } from '../serving/tiny-onnx.ts'
import { doneIn, lastSeq, NEVER_THERE, THERE_AND_BACK } from './audit-trail.ts'
import { checkFailed } from './failed-run.ts'
import { MODEL, QUICK, startMortalStack, variation, type WriteVersion } from './mortal-stack.ts'
import {
  BACK_FROM_GATES,
  BACK_FROM_STAGING,
  IN_PRODUCTION_ALREADY,
  TO_PRODUCTION,
} from './pipeline-deaths.ts'

// Versions that fail, each in a way of its own, on real processes, while users send photos all the time, and a controller that
// is killed (kill -9) before and after each commit on the way back.

t.setTimeout(300_000)

const stack = await startMortalStack(t)
const { ask, life } = stack
life.spare([...TO_PRODUCTION, ...IN_PRODUCTION_ALREADY])

interface Failing {
  readonly gate: string
  readonly reason: RegExp
  readonly isReady: boolean
  readonly write: WriteVersion
}

const CRASHING = 'sleep 0.1; exit 3\n'

/** The same ways as of `weir scenario`, in small. */
const FAILING: Readonly<Record<string, Failing>> = {
  'it refuses its model': {
    gate: 'integration',
    reason: /refuses to serve/,
    isReady: false,
    write: variation({ model: colourClassifier({ classes: 4 }) }),
  },
  'it takes more memory than its limit': {
    gate: 'resources',
    reason: /OOM: .* MiB at its peak, limit 32 MiB/,
    isReady: false,
    write: variation({ manifest: { memoryLimitMiB: 32 } }),
  },
  'it ends as soon as it has started': {
    gate: 'resources',
    reason: /crash loop: .* code 3 \(not for memory\)/,
    isReady: false,
    write: async parent =>
      writeCustomFolder(parent, {
        files: { 'serve.sh': CRASHING },
        manifest: { name: MODEL, labels: COLOURS },
        server: { command: ['sh', 'serve.sh'] },
      }),
  },
  'it is slow': {
    gate: 'load',
    reason: /took at most \d{4,} ms \(must be below 1000 ms\)/,
    isReady: true,
    write: variation({ manifest: { drill: { delayMs: 1200 } } }),
  },
  'it fails every fifth time': {
    gate: 'load',
    reason: /8 of 10 requests were answered with 2xx/,
    isReady: true,
    write: variation({ manifest: { drill: { failRate: 0.2 } } }),
  },
  'it is mostly wrong': {
    gate: 'quality',
    reason: /points lower, 2 points are allowed/,
    isReady: true,
    write: variation({ manifest: { labels: ['Green', 'Blue', 'Red'] } }),
  },
}

t.test('version 1 is seen good in staging', { timeout: 120_000 }, async t => {
  const { id } = await ask(async client => client.startPipeline(MODEL, '1'))
  t.match(await stack.ends(id), { phase: 'Passed' })
  t.match(await stack.environment('staging'), { current: { version: '1', good: true } })
})

for (const [name, { gate, reason, isReady, write }] of Object.entries(FAILING)) {
  t.test(
    `${name}: the controller is killed at each transition, and staging goes back once`,
    { timeout: 120_000 },
    async t => {
      const [{ digest }, seq] = [stack.production, await ask(lastSeq)]
      await stack.writePipeline(name === 'it is slow' ? QUICK.replace('20000', '1000') : QUICK)
      const version = await stack.register(write)
      const run = await stack.ends((await stack.runOf(version)).id)
      const transitions = isReady ? BACK_FROM_GATES : BACK_FROM_STAGING
      await checkFailed(t, stack, run, { reason, transitions })

      const stopped = run.steps.find(({ status }) => status === 'failed')
      t.equal(stopped?.name, isReady ? 'gates' : 'deploy-staging')
      const results = z.array(gateResult).parse(stopped?.evidence)
      t.match(results.at(-1), { gate, verdict: 'fail' })
      t.ok(results.slice(0, -1).every(({ verdict }) => verdict === 'pass'))

      const staging = await stack.environment('staging')
      t.match(staging, { current: { digest, good: true }, deploying: null, health: 'healthy' })
      t.equal(staging.history.filter(entry => entry.version === version).length, 1, 'it came there once')
      const done = await ask(async client => doneIn(client, 'staging', seq))
      t.same(done, (isReady ? THERE_AND_BACK : NEVER_THERE).toSorted(), 'there and back, once')
    },
  )
}

t.test('no user noticed, and the audit is as it was written', async t => {
  await stack.checkUsers(t)
})
