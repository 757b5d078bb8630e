import type { ControllerClient, Rollout } from '../../client/controller.ts'
import type { GatewayClient } from '../../client/gateway.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { systemClock } from '../../lib/clock.ts'
import type { SteadyLoad } from '../load/steady-load.ts'
import type { LiveView } from '../render/live.ts'
import { frame } from './frame.ts'

export interface StoryOptions {
  readonly gateway: GatewayClient
  readonly controller: ControllerClient
  readonly load: SteadyLoad
  readonly view: LiveView
  readonly signal: AbortSignal
}

export interface Story {
  readonly promoted: boolean
  readonly promoteSeconds: number
  readonly withdrawn: boolean
  /** From the failing candidate's first live traffic until it had none in any worker. */
  readonly withdrawSeconds: number
  /** From the decision until every worker had applied it. */
  readonly withdrawMs: number | null
}

const ROUTE = 'food11'
const FRAME_EVERY_MS = 250
const CALM_MS = 4000

/** The default rollout, with 2 percentage points at risk, so that about forty requests a second suffice for a minute. */
const SPEC = {
  route: ROUTE,
  modelVersion: '2',
  strategy: { canary: { steps: [{ setWeight: 10 }, { ramp: { riskBudget: '2pp', to: 95 } }] } },
  analysis: { interval: '1s' },
}
const FILE = { apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout' }

export async function playStory(options: StoryOptions): Promise<Story> {
  const { controller, view } = options
  const startedAt = Date.now()
  await watch(options, startedAt, null, CALM_MS)
  view.log('\n1. Version 2 is rolled out: its weight grows as the evidence allows.')
  const good = await rolledOut(options, startedAt, await controller.startRollout({ ...FILE, spec: SPEC }))
  await watch(options, startedAt, null, CALM_MS)
  view.log('\n2. A version that fails 30 % of its answers is rolled out.')
  const drilled = { ...FILE, spec: { ...SPEC, drill: { failRate: 0.3 } } }
  const bad = await rolledOut(options, startedAt, await controller.startRollout(drilled))
  await watch(options, startedAt, null, CALM_MS)
  return {
    promoted: good.rollout.phase === 'Promoted',
    promoteSeconds: good.seconds,
    withdrawn: bad.rollout.phase === 'RolledBack',
    withdrawSeconds: bad.seconds,
    withdrawMs: bad.rollout.withdrawMs,
  }
}

/** Follows a rollout to its end; `seconds` from the candidate's first live traffic on. */
async function rolledOut(
  options: StoryOptions,
  startedAt: number,
  started: Rollout,
): Promise<{ rollout: Rollout; seconds: number }> {
  const { controller, view, signal } = options
  let firstTraffic: number | undefined
  let told = ''
  for (;;) {
    const rollout = await controller.rollout(started.name)
    if (rollout.weight > 0) firstTraffic ??= Date.now()
    const news = `${rollout.phase} ${rollout.weight}`
    if (news !== told)
      view.log(`   ${clock(startedAt)}  ${rollout.phase}, candidate ${rollout.weight} %: ${rollout.message}`)
    told = news
    if (TERMINAL_PHASES.has(rollout.phase) || signal.aborted) {
      return { rollout, seconds: (Date.now() - (firstTraffic ?? Date.now())) / 1000 }
    }
    await watch(options, startedAt, rollout, FRAME_EVERY_MS)
  }
}

/** Draws for a while. */
async function watch(
  { gateway, load, view, signal }: StoryOptions,
  startedAt: number,
  rollout: Rollout | null,
  ms: number,
): Promise<void> {
  const until = Date.now() + ms
  while (Date.now() < until && !signal.aborted) {
    const { policy } = await gateway.route(ROUTE)
    view.draw(frame({ elapsed: clock(startedAt), weights: policy.weights, load: load.snapshot(), rollout }))
    await systemClock.sleep(Math.min(FRAME_EVERY_MS, ms), signal)
  }
}

function clock(startedAt: number): string {
  const seconds = Math.floor((Date.now() - startedAt) / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
