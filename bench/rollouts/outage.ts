import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Rollout } from '../../client/controller.ts'
import { pause, untilAnswering, type Target } from '../gateway/bench.ts'
import { isInstalled } from '../gateway/processes.ts'
import type { RolloutBench } from './bench.ts'
import { ALL_CORES, ownPort, rolloutFile, startStack, untilFlowing, untilOver, urlOf } from './stack.ts'

// A healthy candidate, judged by what a Prometheus server scraped, which is stopped in the middle and started again on its data.

const PROVIDER = 'prometheus'
const NAMES = ['it holds while the metrics provider is down', 'and is promoted afterwards']
/** A look that had its evidence already may still be decided on. */
const GRACE_MS = 3000
const LINE_EVERY_MS = 10_000

/** The outage begins when the candidate has `outageFrom` percent. */
const FULL = {
  requestsPerSecond: 100,
  downMs: 60_000,
  outageFrom: 25,
  steps: [{ setWeight: 10 }, { ramp: { riskBudget: '1pp', to: 95 } }],
  analysis: { interval: '1s' },
}
/** Begins at half and tolerates more, so that it is soon over and passes on machines busy with other things, too. */
const SHORT = {
  requestsPerSecond: 40,
  downMs: 6000,
  outageFrom: 50,
  steps: [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }],
  analysis: {
    interval: '1s',
    settle: '3s',
    latency: { toleranceRatio: 8 },
    successRate: { toleranceRatio: 3 },
  },
}

export async function measureOutage(bench: RolloutBench): Promise<Target[]> {
  if (!isInstalled(PROVIDER))
    return NAMES.map(name => ({
      name,
      reached: '–',
      met: 'not measured',
      reason: `${PROVIDER} is not installed`,
    }))
  const { requestsPerSecond, downMs, outageFrom, steps, analysis } = bench.short ? SHORT : FULL
  bench.print(
    `outage: a healthy rollout at ${requestsPerSecond} rps, ${PROVIDER} down for ${downMs / 1000} s`,
  )
  const operatorPort = await ownPort()
  const provider = await createProvider(bench, operatorPort)
  await provider.start()
  const [one, two] = [urlOf(await ownPort()), urlOf(await ownPort())]
  const stack = await startStack(bench, {
    name: 'outage',
    chances: { failures: 0.001, refusals: 0 },
    seed: true,
    operatorPort,
    prometheusUrl: provider.url,
    routes: [{ variants: { stable: [one], candidate: [two], reserve: [] } }],
  })
  const load = stack.routes[0]?.load(requestsPerSecond)
  if (load === undefined) throw new Error('there is no route')
  await untilFlowing(load)

  const tolerant = { latency: bench.latency, ...analysis }
  const spec = { modelVersion: '2', strategy: { canary: { steps } }, analysis: tolerant }
  const { name } = await stack.controller.startRollout(rolloutFile('r0', spec))
  const timeline = createTimeline(bench.print)
  const outage = createOutage(provider, { downMs, outageFrom, say: timeline.say })
  const over = await untilOver(stack, name, rollout => {
    timeline.see(rollout)
    outage.see(rollout)
  })
  await outage.over()
  await load.stop()
  const { moves, begun } = outage
  return [
    {
      name: NAMES[0] ?? '',
      reached: begun()
        ? moves().length === 0
          ? `held for ${downMs / 1000} s`
          : moves().join('; ')
        : 'no outage',
      met: begun() && moves().length === 0,
    },
    { name: NAMES[1] ?? '', reached: over.phase, met: over.phase === 'Promoted' },
  ]
}

interface Provider {
  readonly url: string
  start(): Promise<void>
  stop(): Promise<void>
}

async function createProvider({ processes, dir }: RolloutBench, operatorPort: number): Promise<Provider> {
  const port = await ownPort()
  const folder = join(dir, PROVIDER)
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'prometheus.yml')
  writeFileSync(
    config,
    `global: { scrape_interval: 1s }
scrape_configs:
  - job_name: weir
    static_configs: [{ targets: ["127.0.0.1:${operatorPort}"] }]
`,
  )
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`]
  args.push(`--web.listen-address=127.0.0.1:${port}`)
  let pid: number | undefined
  return {
    url: urlOf(port),
    async start() {
      pid = processes.start(ALL_CORES, PROVIDER, args)
      await untilAnswering(`${urlOf(port)}/-/ready`)
    },
    stop: () => processes.stop(pid === undefined ? [] : [pid]),
  }
}

/** Says what changes, and how things are every ten seconds. */
function createTimeline(print: RolloutBench['print']) {
  const begun = performance.now()
  let last = ''
  let lastAt = -Infinity
  const say = (text: string) =>
    print(`  ${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${text}`)
  return {
    say,
    see({ phase, cause, weight, decision }: Rollout): void {
      const state = `${phase}${cause === null ? '' : ` (${cause})`} at ${weight} %`
      const now = performance.now()
      if (state === last && now - lastAt < LINE_EVERY_MS) return
      say(`${state}${decision === null ? '' : `: ${decision.reason}`}`)
      last = state
      lastAt = now
    },
  }
}

interface OutageOptions {
  readonly downMs: number
  readonly outageFrom: number
  readonly say: (text: string) => void
}

/** Takes the provider away once, and notes what the rollout does meanwhile. */
function createOutage(provider: Provider, { downMs, outageFrom, say }: OutageOptions) {
  let passing: Promise<void> | undefined
  let held: string | undefined
  let watching = false
  const moves: string[] = []

  async function pass(): Promise<void> {
    await provider.stop()
    say('the provider is stopped')
    await pause(GRACE_MS)
    watching = true
    await pause(Math.max(0, downMs - GRACE_MS))
    watching = false
    await provider.start()
    say('the provider is back')
  }

  return {
    see({ phase, weight }: Rollout): void {
      if (weight >= outageFrom) passing ??= pass()
      if (!watching) return
      const state = `${phase} at ${weight} %`
      held ??= state
      if (state !== held) moves.push(`${held} became ${state}`)
      held = state
    },
    over: async () => passing,
    begun: () => held !== undefined,
    moves: () => moves,
  }
}
