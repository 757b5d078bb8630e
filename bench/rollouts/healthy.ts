import { parseExposition } from '../../lib/exposition.ts'
import type { Target } from '../gateway/bench.ts'
import { table } from '../gateway/table.ts'
import { inLanes, medianOf, type RolloutBench } from './bench.ts'
import { inWords, watchOwnDelays } from './own-delays.ts'
import {
  ownPort,
  rolloutFile,
  startStack,
  untilFlowing,
  untilOver,
  urlOf,
  type RolloutStack,
} from './stack.ts'

// Healthy rollouts one after another on each of several routes of one gateway: version 2 for 1, then 1 for 2, and so on, with the
// same two servers behind all routes. Both fail and refuse as often, by chance. Only waits are short: a route's time-out, and with it
// the settling time that follows from it, and the time between looks. Counters and clocks are what they are.

const LANES = 5
const LEAST_REQUESTS = 2000
const CHANCES = { failures: 0.01, refusals: 0.005 }
const INTERVAL = '500ms'
/** Compilers and connections: what a process does only in its first requests. */
const WARM_UP_REQUESTS = 400

const FULL = {
  runs: 200,
  requestsPerSecond: 80,
  timeoutMs: 2000,
  analysis: { interval: INTERVAL },
  /** About 3,000 requests and 40 s each. The last step is for a lucky rollout that would be over too soon. */
  steps: [
    { setWeight: 20 },
    { ramp: { riskBudget: '2.5pp', to: 95 } },
    { analysis: { excess: '5pp', minRequests: 1000 } },
  ],
}
/** Begins at half and tolerates more, so that it is soon over and passes on machines busy with other things, too. */
const SHORT = {
  runs: 2,
  requestsPerSecond: 40,
  timeoutMs: 5000,
  analysis: { interval: INTERVAL, latency: { toleranceRatio: 8 }, successRate: { toleranceRatio: 3 } },
  steps: [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }],
}

interface Plan {
  readonly analysis: object
  readonly steps: readonly object[]
}

interface Run {
  readonly name: string
  readonly phase: string
  readonly cause: string | null
  readonly reason: string
  readonly seconds: number
  /** Answered at the route meanwhile, and counted by the judge. */
  readonly requests: number
  readonly counted: number
  /** The strongest evidence of harm at any look that was seen. */
  readonly evidence: number
  /** Failures other than those by chance: time-outs and the like, with which a machine that is too busy spoils the measurement. */
  readonly unplanned: number
}

export async function measureHealthy(bench: RolloutBench): Promise<Target[]> {
  const plan = bench.short ? SHORT : { ...FULL, analysis: { ...FULL.analysis, latency: bench.latency } }
  const runs = bench.runs ?? plan.runs
  const lanes = Math.min(bench.lanes ?? LANES, runs)
  bench.print(
    `healthy: ${runs} rollouts, ${lanes} at a time, ${plan.requestsPerSecond} rps each; both versions fail ` +
      `${100 * CHANCES.failures} % and refuse ${100 * CHANCES.refusals} %; time-out ${plan.timeoutMs} ms, ${JSON.stringify(plan.analysis)}`,
  )
  const stack = await startPair(bench, lanes, plan.timeoutMs)
  const loads = stack.routes.map(route => route.load(plan.requestsPerSecond))
  await Promise.all(loads.map(untilFlowing))
  const stable = loads.map(() => '1')
  const delays = watchOwnDelays()
  const progress = createProgress(runs)
  const all = await inLanes(lanes, runs, async (_, lane) => {
    const modelVersion = stable[lane] === '1' ? '2' : '1'
    const answered = () => loads[lane]?.snapshot().answered ?? 0
    const run = await rollOut(stack, lane, { plan, modelVersion, answered })
    if (run.phase === 'Promoted') stable[lane] = modelVersion
    for (const line of progress(run)) bench.print(line)
    return run
  })
  delays.stop()
  await Promise.all(loads.map(load => load.stop()))
  bench.print(summary(all))
  for (const run of all.filter(isOtherwiseOver)) bench.print(`not promoted: ${ended(run)}`)
  const unplanned = Object.entries(await unplannedByReason(stack)).map(pair => pair.join(' '))
  bench.print(`failures other than those by chance: ${unplanned.join(', ') || 'none'}`)
  bench.print(`${inWords(delays.read())}\n`)
  return targetsOf(all, bench.short)
}

const PROGRESS_EVERY = 10

/** What is to be said when a rollout is over: how it went, and now and then when all will be. */
function createProgress(runs: number): (run: Run) => readonly string[] {
  const began = Date.now()
  let done = 0
  return run => {
    done += 1
    const figures = `${run.requests} requests, ${run.counted} counted, ${run.unplanned} failures not by chance, evidence of harm ${run.evidence.toFixed(2)} at most`
    const line = `  ${done}: ${ended(run)}; ${run.seconds.toFixed(1)} s, ${figures}`
    if (done % PROGRESS_EVERY !== 0 && done !== runs) return [line]
    const spentMs = Date.now() - began
    const end = new Date(began + (spentMs / done) * runs).toTimeString().slice(0, 8)
    const when = done === runs ? '' : `; all will be at about ${end}`
    return [line, `  ${done} of ${runs} are over after ${(spentMs / 60_000).toFixed(1)} min${when}`]
  }
}

function isOtherwiseOver({ phase }: Run): boolean {
  return phase !== 'Promoted'
}

function ended(run: Run): string {
  const { name, phase, cause, reason } = run
  return isOtherwiseOver(run) ? `${name} ${phase} (${cause}): ${reason}` : `${name} ${phase}`
}

async function startPair(bench: RolloutBench, lanes: number, timeoutMs: number): Promise<RolloutStack> {
  const [one, two] = [urlOf(await ownPort()), urlOf(await ownPort())]
  const route = {
    variants: { stable: [one], candidate: [two], reserve: [] },
    settings: { timeoutMs },
  }
  const routes = Array.from({ length: lanes }, () => route)
  const stack = await startStack(bench, { name: 'healthy', chances: CHANCES, seed: true, routes })
  await Promise.all([one, two].map(warmUp))
  return stack
}

async function warmUp(server: string): Promise<void> {
  await inLanes(8, WARM_UP_REQUESTS, async () => {
    const answer = await fetch(`${server}/predict`, { method: 'POST', body: 'x' })
    await answer.arrayBuffer()
  })
}

interface Promotion {
  readonly plan: Plan
  readonly modelVersion: string
  readonly answered: () => number
}

async function rollOut(stack: RolloutStack, lane: number, promotion: Promotion): Promise<Run> {
  const { answered } = promotion
  const before = { answered: answered(), unplanned: await countUnplanned(stack, lane) }
  const { name } = await stack.controller.startRollout(rolloutFile(`r${lane}`, specOf(promotion)))
  let evidence = 0
  const over = await untilOver(stack, name, ({ decision }) => {
    evidence = Math.max(evidence, decision?.e ?? 0)
  })
  const { phase, cause, message, decision, startedAt, endedAt } = over
  const { stable = 0, candidate = 0 } = decision?.exposure ?? {}
  return {
    name,
    phase,
    cause,
    reason: decision?.reason ?? message,
    seconds: (Date.parse(endedAt ?? '') - Date.parse(startedAt)) / 1000,
    requests: answered() - before.answered,
    counted: stable + candidate,
    evidence,
    unplanned: (await countUnplanned(stack, lane)) - before.unplanned,
  }
}

function specOf({ plan: { analysis, steps }, modelVersion }: Promotion): object {
  return { modelVersion, strategy: { canary: { steps } }, analysis }
}

/** On one lane's route, since the gateway was started. */
async function countUnplanned(stack: RolloutStack, lane: number): Promise<number> {
  const counts = await unplannedByReason(stack, stack.routes[lane]?.name)
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

async function unplannedByReason({ gateway }: RolloutStack, route?: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { name, labels, value } of parseExposition(await gateway.metrics(route))) {
    const { kind, outcome, reason = '' } = labels
    if (name !== 'weir_requests_total' || kind !== 'split' || outcome !== 'failure' || reason === '5xx')
      continue
    counts[reason] = (counts[reason] ?? 0) + value
  }
  return counts
}

function summary(runs: readonly Run[]): string {
  const row = (name: string, of: (run: Run) => number, digits = 0) => {
    const values = runs.map(of)
    return [name, Math.min(...values), medianOf(values), Math.max(...values)].map(cell =>
      typeof cell === 'number' ? cell.toFixed(digits) : cell,
    )
  }
  return table(
    ['of each rollout', 'least', 'median', 'most'],
    [
      row('HTTP requests answered', run => run.requests),
      row('requests that the judge counted', run => run.counted),
      row('seconds', run => run.seconds, 1),
      row('strongest evidence of harm (100 withdraws)', run => run.evidence, 2),
    ],
  )
}

function targetsOf(runs: readonly Run[], short: boolean): Target[] {
  const promoted = runs.filter(({ phase }) => phase === 'Promoted').length
  const least = Math.min(...runs.map(({ requests }) => requests))
  return [
    {
      name: 'healthy candidates that were promoted: all',
      reached: `${promoted} of ${runs.length}`,
      met: promoted === runs.length,
    },
    {
      name: `at least ${LEAST_REQUESTS} HTTP requests each`,
      reached: `${least} and more`,
      met: short ? 'not measured' : least >= LEAST_REQUESTS,
      ...(short && { reason: 'the short form ends sooner' }),
    },
  ]
}
