import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import type { Evidence } from '../../controller/evidence/evidence.ts'
import { createPipeline } from '../../controller/lifecycle/pipeline.ts'
import { requireMayAct, requireMayStart } from '../../controller/lifecycle/pipeline-approvers.ts'
import { createPipelineStore } from '../../controller/lifecycle/pipeline-store.ts'
import { createRolloutService } from '../../controller/rollouts/rollout-service.ts'
import type { RolloutState } from '../../controller/rollouts/rollout-state.ts'
import {
  digestOf,
  startEnvironmentWorld,
  startLifecycle,
  type EnvironmentWorld,
  type Through,
} from './environment-world.ts'

// A pipeline over environments in this process; a test decides when it looks, and what rollouts do.

type Test = Parameters<typeof startEnvironmentWorld>[0]

/** A gate is a program here, so that a test decides what it says: 0 passes, 1 fails, anything else is an error. */
export function gates(exitCode: number): string {
  const argv = JSON.stringify([process.execPath, '-e', `process.exit(${exitCode})`])
  return `gates: { integration: false, resources: false, load: false, quality: false, commands: [{ name: ours, argv: ${argv} }] }\n`
}

export function writePipeline({ stateDir }: EnvironmentWorld, yaml: string): void {
  writeFileSync(join(stateDir, 'models', 'food11', 'pipeline.yaml'), yaml)
}

export async function startWorld(t: Test, yaml: string) {
  const world = await startEnvironmentWorld(t)
  writePipeline(world, yaml)
  return world
}

const NO_EVIDENCE: Evidence = {
  look: async () => ({ kind: 'no-data', reason: 'nobody asks', failed: false }),
}

interface ControlOptions {
  readonly evidence?: Evidence
  /** Cuts ways to the outside. */
  readonly through?: Through
  /** As in environments.yaml. */
  readonly settings?: object
}

/** A controller over the world; another one later is one after a crash. */
export function startControl(
  t: Test,
  world: EnvironmentWorld,
  { evidence = NO_EVIDENCE, settings = {}, through }: ControlOptions = {},
) {
  const lifecycle = startLifecycle(t, world, through, settings)
  const { environments, reconciler: places, rollouts } = lifecycle
  const runs = createPipelineStore(lifecycle.store)
  const service = createRolloutService({
    ...lifecycle,
    hasPrometheus: false,
    nudge: () => {},
    requireFree: environments.requireFree,
    requireMayStart: requireMayStart(runs),
    requireMayAct: requireMayAct(runs),
  })
  const { pipelines, registrations, reconciler, environmentGates } = createPipeline({
    ...lifecycle,
    service,
    where: { route: 'food11', model: 'food11', ports: world.gateway.ports },
    evidence,
    secret: 'whsec_c2VjcmV0',
    modelsDir: join(world.stateDir, 'models'),
  })
  const work = new AbortController()
  t.teardown(() => work.abort())
  /** The step of a rollout that is not tested here. */
  const lead = (name: string, change: Partial<RolloutState>) => {
    const found = rollouts.get(name)
    if (found) rollouts.save(name, { ...found.state, ...change })
  }
  const look = async () => {
    world.clock.forward(1000)
    for (const name of ['staging', 'canary', 'production'] as const) await places.tick(name)
    await reconciler.look(work.signal)
    await systemClock.sleep(5) // a gate's program runs meanwhile
  }
  const until = async (what: string, reached: () => boolean) => {
    for (let looks = 0; !reached(); looks++) {
      if (looks > 400) throw new Error(`never: ${what}: ${JSON.stringify(pipelines.list()[0]?.message)}`)
      await look()
    }
  }
  const stop = () => {
    work.abort()
    lifecycle.stop()
  }
  return { ...lifecycle, pipelines, registrations, environmentGates, service, lead, look, until, stop }
}

export type Control = ReturnType<typeof startControl>

export async function run({ pipelines }: Control, version: string) {
  const start = await pipelines.prepareStart({ model: 'food11', version }, { actor: 'ada' })
  return start().id
}

export function stepOf({ pipelines }: Control, id: string, name: string) {
  return pipelines.view(id).steps.find(step => step.name === name)
}

/** A rollout with the default steps, at the approval that is the pipeline's. */
export const WAITS = { phase: 'Paused', cause: 'approval', step: 2 } as const

/** What the rollout's own reconciler would do once it is approved. */
export function promote({ gateway }: EnvironmentWorld, control: Control, name: string): void {
  const { variants } = gateway.policy('food11')
  const swapped = { stable: variants['candidate'], candidate: variants['stable'] }
  gateway.write({ ...gateway.policy('food11'), variants: swapped, weights: { stable: 100, candidate: 0 } })
  const endpoints = variants['candidate']?.endpoints ?? []
  const candidate = { version: '2', digest: digestOf('2'), endpoints }
  control.lead(name, { phase: 'Promoted', cause: null, candidate, endedAt: 1 })
}
