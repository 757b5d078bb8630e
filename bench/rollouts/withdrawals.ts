import { join } from 'node:path'
import type { GatewayClient } from '../../client/gateway.ts'
import { parseExposition } from '../../lib/exposition.ts'
import type { Target } from '../gateway/bench.ts'
import { table } from '../gateway/table.ts'
import { inLanes, medianOf, type RolloutBench } from './bench.ts'
import { writeModels } from './model.ts'
import { rolloutFile, startServer, startStack, untilFlowing, untilOver, type RolloutStack } from './stack.ts'

// Stable fails and the candidate fails more, both by their drills. Both fall back to a third variant: with stable as the one to fall
// back to, clients would see its own failures, and they could not be told from those that the candidate caused.

const STABLE_FAILS = 0.01
const MOST_CANDIDATE_REQUESTS = 300
/** Runs at a time, each with a stable of its own. */
const LANES = 5

const FULL = { requestsPerSecond: 200, weight: 1, failRate: 0.05, runs: 10, analysis: { interval: '1s' } }
/** Fails more and begins higher, to be over within seconds; less traffic, and latency weighs less: so it is fit for busy machines. */
const SHORT = {
  requestsPerSecond: 40,
  weight: 25,
  failRate: 0.5,
  runs: 1,
  analysis: { interval: '500ms', settle: '2s', latency: { toleranceRatio: 8 } },
}

interface Run {
  readonly phase: string
  readonly cause: string | null
  readonly seconds: number
  /** Requests that the split gave to the candidate, those of them that failed there, and those that counted. */
  readonly given: number
  readonly failed: number
  readonly counted: number
  readonly sent: number
  readonly clientFailures: number
}

export async function measureWithdrawals(bench: RolloutBench): Promise<Target[]> {
  const plan = bench.short ? SHORT : FULL
  const runs = bench.runs ?? plan.runs
  const lanes = Math.min(bench.lanes ?? LANES, runs)
  bench.print(
    `withdrawals: ${runs} runs, ${lanes} at a time, ${plan.requestsPerSecond} rps each, from ${plan.weight} %; ` +
      `stable fails ${100 * STABLE_FAILS} %, the candidate ${100 * plan.failRate} %`,
  )
  const stack = await startLanes(bench, lanes)
  const done = await inLanes(lanes, runs, async (number, lane) => {
    const run = await withdraw(stack, lane, plan)
    bench.print(`  run ${number + 1}: ${run.phase} (${run.cause}), ${run.given} candidate requests`)
    return run
  })
  bench.print(runTable(done))
  return targetsOf(done, bench.short)
}

async function startLanes(bench: RolloutBench, lanes: number): Promise<RolloutStack> {
  const chances = { failures: 0, refusals: 0 }
  const models = join(bench.dir, 'undisturbed')
  writeModels(models, chances)
  const reserve = [await startServer(bench, models)]
  const drill = ['--drill', `failRate=${STABLE_FAILS}`]
  const stables = await Promise.all(Array.from({ length: lanes }, () => startServer(bench, models, drill)))
  const routes = stables.map(stable => ({ variants: { stable: [stable], candidate: [], reserve } }))
  return startStack(bench, { name: 'withdrawals', chances, seed: false, routes })
}

async function withdraw(stack: RolloutStack, lane: number, plan: typeof FULL | typeof SHORT): Promise<Run> {
  const { gateway, controller, routes } = stack
  const route = routes[lane]
  if (route === undefined) throw new Error(`there is no route for lane ${lane}`)
  const { requestsPerSecond, weight, failRate, analysis } = plan
  const before = await countCandidate(gateway, route.name)
  const load = route.load(requestsPerSecond)
  await untilFlowing(load)
  const strategy = { canary: { steps: [{ setWeight: weight }, { ramp: { riskBudget: '1pp', to: 95 } }] } }
  const spec = { modelVersion: '2', drill: { failRate }, strategy, analysis }
  const { name } = await controller.startRollout(rolloutFile(route.name, spec))
  const { phase, cause, decision } = await untilOver(stack, name)
  const { sent, failed: clientFailures } = await load.stop()
  const after = await countCandidate(gateway, route.name)
  return {
    phase,
    cause,
    seconds: await secondsBetween(stack, name, ['set-weight', 'withdraw']),
    given: after.given - before.given,
    failed: after.failed - before.failed,
    counted: decision?.exposure.candidate ?? 0,
    sent,
    clientFailures,
  }
}

/** Of the candidate's requests by the split, all that ever were on the route. */
async function countCandidate(gateway: GatewayClient, route: string) {
  const counts = { given: 0, failed: 0 }
  for (const { name, labels, value } of parseExposition(await gateway.metrics(route))) {
    if (name !== 'weir_requests_total' || labels['variant'] !== 'candidate' || labels['kind'] !== 'split')
      continue
    counts.given += value
    if (labels['outcome'] === 'failure') counts.failed += value
  }
  return counts
}

/** Between the first records of two actions; NaN where one is missing. */
async function secondsBetween(
  { controller }: RolloutStack,
  subject: string,
  actions: readonly [string, string],
): Promise<number> {
  const records = (await controller.audit({ subject, limit: 1000 })).toReversed()
  const [from, to] = actions.map(action =>
    Date.parse(records.find(record => record.action === action)?.at ?? ''),
  )
  return ((to ?? Number.NaN) - (from ?? Number.NaN)) / 1000
}

function runTable(runs: readonly Run[]): string {
  const head = [
    'run',
    'ended as',
    'cause',
    'candidate requests',
    'counted',
    'failed there',
    'seconds',
    'at clients',
  ]
  const rows = runs.map((run, index) => [
    index + 1,
    run.phase,
    run.cause ?? '–',
    run.given,
    run.counted,
    run.failed,
    run.seconds.toFixed(1),
    `${run.clientFailures} of ${run.sent} failed`,
  ])
  return table(head, rows)
}

function targetsOf(runs: readonly Run[], short: boolean): Target[] {
  const withdrawn = runs.filter(({ phase, cause }) => phase === 'RolledBack' && cause !== 'deadline').length
  const failures = runs.reduce((sum, run) => sum + run.clientFailures, 0)
  const median = medianOf(runs.map(({ given }) => given))
  return [
    {
      name: 'a candidate that fails more is withdrawn, every time',
      reached: `${withdrawn} of ${runs.length}`,
      met: withdrawn === runs.length,
    },
    { name: 'failures at the clients: 0', reached: String(failures), met: failures === 0 },
    {
      name: `median under ${MOST_CANDIDATE_REQUESTS} candidate requests`,
      reached: String(median),
      met: short ? 'not measured' : median < MOST_CANDIDATE_REQUESTS,
      ...(short && { reason: 'the short form fails more often' }),
    },
  ]
}
