import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ENVIRONMENTS } from '../../contract/environment.ts'
import type { PipelineView } from '../../contract/pipeline.ts'
import { until } from '../helpers/until.ts'
import { colourClassifier } from '../serving/tiny-onnx.ts'
import { doneIn, lastSeq, NEVER_THERE, THERE_AND_BACK, THERE_AND_STOPPED } from './audit-trail.ts'
import { checkFailed, type Failure } from './failed-run.ts'
import { MODEL, QUICK, startMortalStack, variation } from './mortal-stack.ts'
import {
  BACK_FROM_CANARY,
  BACK_FROM_PRODUCTION,
  BACK_FROM_ROLLOUT,
  IN_PRODUCTION_ALREADY,
  REJECTED,
  TO_PRODUCTION,
} from './pipeline-deaths.ts'

// Versions that passed their gates and are withdrawn later, on real processes, while users send photos all the time, and a
// controller that is killed (kill -9) before and after each commit on the way back.

t.setTimeout(300_000)

const stack = await startMortalStack(t)
const { ask, life } = stack

/** Lives on at all that leads forward, but at `except`. */
function spareForward(...except: readonly string[]): void {
  life.spare([...TO_PRODUCTION, ...IN_PRODUCTION_ALREADY].filter(transition => !except.includes(transition)))
}

/** Registers a version that differs by a number alone; returns it and the run that it starts, by the name that it will have. */
async function begin(memoryLimitMiB: number): Promise<{ version: string; id: string }> {
  const version = await stack.register(variation({ manifest: { memoryLimitMiB } }))
  return { version, id: `${MODEL}-v${version}` }
}

interface Withdrawn extends Failure {
  readonly seq: number
  readonly canary: readonly string[]
}

async function checkWithdrawn(
  t: Test,
  run: PipelineView,
  { seq, canary, ...failure }: Withdrawn,
): Promise<void> {
  await checkFailed(t, stack, run, failure)
  const views = await Promise.all(ENVIRONMENTS.map(async name => stack.environment(name)))
  const { digest } = stack.production
  t.match(views, [
    { name: 'staging', current: { digest }, deploying: null, health: 'healthy' },
    { name: 'canary', current: null, deploying: null, health: 'stopped' },
    { name: 'production', deploying: null, health: 'healthy' },
  ])
  t.same(
    await ask(async client => doneIn(client, 'staging', seq)),
    [...THERE_AND_BACK, 'seen-good'].toSorted(),
  )
  t.same(
    await ask(async client => doneIn(client, 'canary', seq)),
    canary.toSorted(),
    'canary: there and back, once',
  )
  const { policy } = await stack.gateway.route(MODEL)
  t.same(policy.weights, { stable: 100, candidate: 0 }, 'all users are with production')

  const rollouts = (await ask(async client => client.rollouts())).filter(
    ({ versions }) => versions.candidate.version === run.modelVersion,
  )
  t.equal(rollouts.length, run.outputs.rollout === null ? 0 : 1)
}

const LIMIT = { timeout: 120_000 }

t.test('version 1 is seen good in staging', LIMIT, async t => {
  spareForward()
  const { id } = await ask(async client => client.startPipeline(MODEL, '1'))
  t.match(await stack.ends(id), { phase: 'Passed' })
})

t.test('its files are damaged before they come to canary', LIMIT, async t => {
  spareForward('canaryRevision known')
  const seq = await ask(lastSeq)
  const { version, id } = await begin(401)
  life.onDeath(`after ${id}: canaryRevision known`, async () =>
    writeFile(join(stack.models, version, 'model.onnx'), colourClassifier({ classes: 4 })),
  )
  const run = await stack.ends((await stack.runOf(version)).id)
  const reason = /integration: it refuses to serve: /
  await checkWithdrawn(t, run, { seq, reason, transitions: BACK_FROM_CANARY, canary: NEVER_THERE })
})

t.test('its rollout is aborted', LIMIT, async t => {
  spareForward()
  await stack.writePipeline(QUICK.replace('{ setWeight: 50 }', '{ setWeight: 50 }, { pause: {} }'))
  const seq = await ask(lastSeq)
  const { version } = await begin(402)
  const { id } = await stack.runOf(version)
  const rollout = await pausedRollout(id)
  await stack.askOnce(async client => client.act(rollout, 'abort', { reason: 'users complain' }))
  const run = await stack.ends(id)
  const reason = /rollout: the rollout ended Aborted/
  await checkWithdrawn(t, run, { seq, reason, transitions: BACK_FROM_ROLLOUT, canary: THERE_AND_STOPPED })
})

t.test('a person rejects it', LIMIT, async t => {
  spareForward('approval known')
  await stack.writePipeline(QUICK)
  const seq = await ask(lastSeq)
  const { version } = await begin(403)
  const { id } = await stack.runOf(version)
  await stack.reaches(id, 'approval')
  const judgement = { as: 'grace', reason: 'the photos look wrong' }
  await stack.askOnce(async client => client.judgePipeline(id, 'reject', judgement))
  const run = await stack.ends(id)
  const reason = /approval: rejected by grace: the photos look wrong/
  await checkWithdrawn(t, run, { seq, reason, transitions: REJECTED, canary: THERE_AND_STOPPED })
})

t.test('it is approved, and its rollout aborted before it has all users', LIMIT, async t => {
  spareForward('approval passed')
  const seq = await ask(lastSeq)
  const { version, id } = await begin(404)
  // nobody decides while somebody else's weights stand
  life.onDeath(`after ${id}: approval passed`, async () => {
    await stack.gateway.patchRoute(MODEL, { weights: { stable: 70, candidate: 30 } })
  })
  await stack.runOf(version)
  await stack.reaches(id, 'approval')
  const judgement = { as: 'grace', reason: 'the photos look right' }
  await stack.askOnce(async client => client.judgePipeline(id, 'approve', judgement))
  await stack.reaches(id, 'production')
  const rollout = await pausedRollout(id, 'manual-change')
  await stack.askOnce(async client =>
    client.act(rollout, 'abort', { reason: 'somebody set the weights by hand' }),
  )
  const run = await stack.ends(id)
  t.match(run, { outputs: { approvedBy: 'grace' } })
  const reason = /production: the rollout ended Aborted/
  await checkWithdrawn(t, run, { seq, reason, transitions: BACK_FROM_PRODUCTION, canary: THERE_AND_STOPPED })
})

/** The rollout of a run, as soon as it waits for a person. */
async function pausedRollout(id: string, cause = 'pause-step'): Promise<string> {
  return until(`the rollout of ${id} waits`, 60_000, async () => {
    const { rollout } = (await stack.viewOf(id)).outputs
    if (rollout === null) return false
    const view = await ask(async client => client.rollout(rollout))
    return view.phase === 'Paused' && view.cause === cause && rollout
  })
}

t.test('no user noticed, and the audit is as it was written', async t => {
  await stack.checkUsers(t)
})
