import t from 'tap'
import type { EnvironmentName } from '../../contract/environment.ts'
import type { StepName } from '../../contract/pipeline.ts'
import { listPipelineTransitions } from '../controller/pipeline-transitions.ts'
import { until } from '../helpers/until.ts'
import { MODEL, QUICK, startMortalStack, variation } from './mortal-stack.ts'

// The pipeline with versions that do not fit side by side, on real processes: the person is asked before the old one stops.

t.setTimeout(300_000)

/** It is watched for ten minutes before it is promoted. */
const RECREATE = QUICK.replace(/^strategy: .*$/m, 'strategy: { recreate: {} }')
const LIMIT = { timeout: 150_000 }
const stack = await startMortalStack(t)
const { ask, life } = stack
life.spare(listPipelineTransitions())

/** Registers a version, and lets it go to all users. */
async function approved(memoryLimitMiB: number): Promise<{ version: string; id: string }> {
  const version = await stack.register(variation({ manifest: { memoryLimitMiB } }))
  const { id } = await stack.runOf(version)
  await stack.reaches(id, 'approval')
  await ask(async client => client.judgePipeline(id, 'approve', { as: 'grace', reason: 'tonight' }))
  return { version, id }
}

const standing = async (name: EnvironmentName, version: string | undefined) =>
  until(`${name} runs ${version ?? 'nothing'}`, 60_000, async () => {
    const view = await stack.environment(name)
    const isThere = view.deploying === null && view.current?.version === version
    return isThere && view.health === (version === undefined ? 'stopped' : 'healthy') && view
  })

const aliasesOf = async (version: string) =>
  (await ask(async client => client.modelVersion(MODEL, version))).aliases

t.test('a version that is withdrawn loses the environments, and its aliases', LIMIT, async t => {
  await stack.writePipeline(RECREATE)
  const { version, id } = await approved(401)
  const rollout = await until('it answers users', 60_000, async () => {
    const { outputs } = await stack.viewOf(id)
    if (outputs.rollout === null) return false
    const { policy } = await stack.gateway.route(MODEL)
    return policy.weights['candidate'] === 100 && outputs.rollout
  })
  await standing('canary', version)
  await ask(async client => client.act(rollout, 'abort', { reason: 'users complain' }))
  const run = await stack.ends(id)
  t.match(run, { phase: 'Failed', message: /Aborted.*staging is stopped; canary is stopped/ }, run.message)
  for (const name of ['staging', 'canary'] as const) await standing(name, undefined)
  await standing('production', '1')
  t.same((await stack.failed(version)).aliases, [])
  t.same(await aliasesOf('1'), ['production'])
})

t.test('a version that is promoted is what canary and production run', LIMIT, async t => {
  await stack.writePipeline(RECREATE.replace('interval', 'watch: 3s, interval'))
  const { version, id } = await approved(402)
  const run = await stack.ends(id)
  t.match(run, { phase: 'Passed', outputs: { approvedBy: 'grace' } }, run.message)
  const steps = run.steps.map(({ name }) => name)
  const place = (step: StepName) => steps.indexOf(step)
  t.ok(place('approval') < place('rollout'), 'nobody could be asked in the gap')
  for (const name of ['staging', 'canary', 'production'] as const) await standing(name, version)
  t.same(await aliasesOf(version), ['development', 'staging', 'canary', 'production'])
  const { answered, sent } = await stack.stopUsers()
  t.equal(answered, sent, 'everybody was answered, in the gap by being asked to come back')
  life.requireWell()
})
