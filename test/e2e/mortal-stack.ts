import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createControllerClient, type ControllerClient } from '../../client/controller.ts'
import { readVersionFiles } from '../../cli/version-files.ts'
import { startSteadyLoad } from '../../cli/load/steady-load.ts'
import { WeirError } from '../../contract/errors.ts'
import type { EnvironmentName, EnvironmentView } from '../../contract/environment.ts'
import { ENDED_PHASES, type PipelineView, type StepName } from '../../contract/pipeline.ts'
import { freePort } from '../../lib/ports.ts'
import { listEnvironmentTransitions } from '../controller/environment-transitions.ts'
import { listPipelineTransitions } from '../controller/pipeline-transitions.ts'
import { startGateway } from '../gateway/gateway-process.ts'
import { until } from '../helpers/until.ts'
import { colourManifest, writeModelFolder, type ModelFolder } from '../serving/model-folder.ts'
import { plain, type Rgb } from '../serving/photos.ts'
import { startMortalController, type MortalBy } from './mortal-controller.ts'

const LIMIT_MS = 120_000
const TRANSITIONS = { pipeline: listPipelineTransitions, environments: listEnvironmentTransitions }
export const MODEL = 'colours'

/**
 * Few requests, and half the traffic: the same machinery within seconds. Whoever else is busy on this machine must not decide a
 * test, so only the slow version has a limit of its own.
 */
export const QUICK = `gates:
  integration: { tests: 1 }
  resources: { requests: 5, concurrent: 5 }
  load: { requests: 10, concurrent: 5, p95BelowMs: 20000 }
strategy: { canary: { steps: [{ setWeight: 50 }] } }
analysis: { interval: 500ms, latency: { toleranceRatio: 8 } }
`

const PHOTOS: readonly (readonly [label: string, rgb: Rgb])[] = [
  ['Red', [220, 30, 30]],
  ['Red', [200, 10, 20]],
  ['Green', [30, 200, 40]],
  ['Green', [20, 220, 10]],
  ['Blue', [20, 30, 210]],
  ['Blue', [10, 40, 230]],
]

/**
 * A real gateway, a real controller that is killed at the transitions of the pipeline, or of environments, and started again, and
 * small model servers; version 1 is in production, and users send photos all the time.
 */
export async function startMortalStack(t: Test, by: MortalBy = 'pipeline') {
  const dir = await mkdtemp(join(tmpdir(), 'weir-mortal-'))
  t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }))
  const models = join(dir, 'models')
  await writeSamples(join(models, MODEL, 'samples'))
  await writeFile(join(models, MODEL, 'pipeline.yaml'), QUICK)
  const first = await writeModelFolder(dir, { manifest: colourManifest({ name: MODEL }) })
  await cp(first, join(models, MODEL, '1'), { recursive: true })

  const from = 25_000 + (process.pid % 500) * 10
  const serving = await freePort('127.0.0.1', from)
  const staging = await freePort('127.0.0.1', serving + 1)
  const canary = await freePort('127.0.0.1', staging + 1)
  const port = await freePort('127.0.0.1', canary + 1)
  const gateway = await startGateway(t, [CLOSED_ROUTE], {
    stateDir: await madeIn(dir, 'gateway'),
    args: ['--owner-pid', String(process.pid)],
  })
  const controller = createControllerClient({ baseUrl: `http://127.0.0.1:${port}`, actor: 'e2e' })
  await gateway.client.patchRoute(MODEL, {
    variants: { stable: { endpoints: [`http://127.0.0.1:${serving}`] } },
    weights: { stable: 100, candidate: 0 },
  })
  const life = startMortalController(t, dir, {
    by,
    port,
    gateway: gateway.operator,
    models,
    state: join(dir, 'controller'),
    'first-serving-port': port + 1,
    seed: `${MODEL}=${MODEL}:1,1`,
    environments: `${MODEL}=${MODEL}:${gateway.port},${staging},${canary}`,
    'owner-pid': process.pid,
  })

  /** What the controller says as soon as it lives again. */
  async function ask<T>(what: (client: ControllerClient) => Promise<T>): Promise<T> {
    return until('an answer of the controller', LIMIT_MS, async () => {
      life.requireWell()
      return what(controller).catch((error: unknown) => {
        if (error instanceof WeirError && UNREACHABLE.has(error.code)) return undefined
        throw error
      })
    })
  }

  /** For what is refused the second time: a controller that died before it answered may have done it. */
  async function askOnce(what: (client: ControllerClient) => Promise<unknown>): Promise<void> {
    await ask(what).catch((error: unknown) => {
      if (!(error instanceof WeirError && error.code === 'conflict')) throw error
    })
  }

  const viewOf = (id: string) => ask(async client => client.pipeline(id))
  const production = await until('production', LIMIT_MS, async () => {
    const { current, health } = await ask(async client => client.environment('production'))
    return current?.version === '1' && health === 'healthy' && current
  })
  const url = `http://127.0.0.1:${gateway.port}`
  const photos = [await plain([220, 30, 30]).jpeg().toBuffer()]
  const load = startSteadyLoad({ url, photos, requestsPerSecond: 10, users: 0 })

  return {
    gateway: gateway.client,
    state: join(dir, 'controller'),
    models: join(models, MODEL),
    /** Nobody sends photos any more; returns how they fared. */
    stopUsers: async () => load.stop(),
    /** Version 1, as it stands in production. */
    production,
    /** Every request had an answer, every record of the audit is as it was written, and each death was one that is listed. */
    async checkUsers(t: Test): Promise<void> {
      const result = await load.stop()
      t.equal(result.failed, 0, result.firstFailure ?? `of ${result.sent}`)
      t.equal(result.answered, result.sent)
      t.ok(result.sent > 100, `${result.sent} requests, ${life.deaths().length} transitions that it died of`)
      t.equal((await ask(async client => client.verifyAudit())).firstBad, null)
      const known = TRANSITIONS[by]()
      const strange = life.deaths().filter(death => !known.has(death.replace(/^.*?: /, '')))
      t.same(strange, [], 'it died of nothing that the state machine has not')
    },
    ask,
    askOnce,
    viewOf,
    life,
    /** An environment as the controller that lives now has seen it. */
    environment: async (name: EnvironmentName): Promise<EnvironmentView> =>
      until(`a look at ${name}`, LIMIT_MS, async () => {
        const view = await ask(async client => client.environment(name))
        return view.health !== 'unknown' && view
      }),
    /** A version that failed, as soon as the registry has heard why. */
    failed: async (version: string) =>
      until(`the registry hears of version ${version}`, LIMIT_MS, async () => {
        const found = await ask(async client => client.modelVersion(MODEL, version))
        return found.failed !== null && found.aliases.length === 0 && found
      }),
    writePipeline: async (yaml: string) => writeFile(join(models, MODEL, 'pipeline.yaml'), yaml),
    /** Registers what `write` writes under a name that says nothing; returns its version. */
    async register(write: WriteVersion): Promise<string> {
      const { files } = await readVersionFiles(await write(await mkdtemp(join(dir, 'folder-'))))
      // a controller that died before it answered has it already
      return (await ask(async client => client.registerVersion(MODEL, files))).version
    },
    /** The run that the registration of a version has started. */
    runOf: async (version: string): Promise<PipelineView> =>
      until(`a run of version ${version}`, LIMIT_MS, async () =>
        (await ask(async client => client.pipelines())).find(({ modelVersion }) => modelVersion === version),
      ),
    reaches: async (id: string, step: StepName): Promise<PipelineView> =>
      until(`${id} reaches ${step}`, LIMIT_MS, async () => {
        const view = await viewOf(id)
        if (ENDED_PHASES.has(view.phase)) throw new Error(view.message)
        return view.steps.find(({ name }) => name === step)?.status === 'running' && view
      }),
    ends: async (id: string): Promise<PipelineView> =>
      until(`${id} ends`, LIMIT_MS, async () => {
        const view = await viewOf(id)
        return ENDED_PHASES.has(view.phase) && view
      }),
  }
}

const UNREACHABLE: ReadonlySet<string> = new Set(['bad_gateway', 'gateway_timeout'])

/** Writes a version's folder below `parent` and returns its path. */
export type WriteVersion = (parent: string) => Promise<string>

/** A version of the model that is in production, with differences. */
export function variation({ manifest, ...rest }: Pick<ModelFolder, 'model' | 'manifest'>): WriteVersion {
  return async parent =>
    writeModelFolder(parent, { manifest: colourManifest({ name: MODEL, ...manifest }), ...rest })
}

async function madeIn(dir: string, name: string): Promise<string> {
  const path = join(dir, name)
  await mkdir(path, { recursive: true })
  return path
}

/** Nothing is behind it before the controller has started that. */
const CLOSED_ROUTE = {
  name: MODEL,
  match: { pathPrefix: '/' },
  variants: { stable: { endpoints: [] }, candidate: { endpoints: [] } },
  weights: { stable: 0, candidate: 0 },
  fallback: { to: 'stable' },
  contract: 'prediction',
  idempotent: true,
}

async function writeSamples(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const samples = PHOTOS.map(([label], index) => ({ file: `${index}.jpg`, label }))
  await writeFile(join(folder, 'samples.json'), JSON.stringify(samples))
  for (const [index, [, rgb]] of PHOTOS.entries())
    await plain(rgb)
      .jpeg()
      .toFile(join(folder, `${index}.jpg`))
}
