import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { ModelVersion, Registry } from '../registry/registry.ts'
import type { Store } from '../store.ts'
import { breakOff } from './pipeline-machine.ts'
import { ACTOR } from './pipeline-reconcile.ts'
import { readPipeline } from './pipeline-settings.ts'
import type { Starter } from './pipeline-start.ts'
import type { PipelineStore } from './pipeline-store.ts'

interface RegistrationsOptions {
  readonly store: Store
  readonly runs: PipelineStore
  readonly registry: Pick<Registry, 'get' | 'aliases' | 'versions'>
  readonly starter: Starter
  /** The model that the environments are for. */
  readonly model: string
  readonly modelsDir: string
  readonly nudge: () => void
  readonly clock: Clock
  readonly log: Log
}

const LOOK_EVERY_MS = 1000

/**
 * Starts a run for each content that is registered, once, however close registrations follow each other. What was registered
 * before the first look of all is left alone, but for the one that `development` points at.
 */
export function createRegistrations(options: RegistrationsOptions) {
  const { store, runs, registry, starter, model, modelsDir, nudge, clock, log } = options
  const { registrations } = runs

  async function registered(): Promise<readonly ModelVersion[]> {
    return (await registry.versions(model)).filter(({ registeredAt }) => registeredAt !== null)
  }

  async function developed(): Promise<string | null> {
    return (await registry.aliases(model)).development ?? null
  }

  /** The alias is asked after the versions: what is registered in between is news then. */
  async function begin(): Promise<void> {
    const found = await registered().catch(unlessNone([]))
    const development = found.length === 0 ? null : await developed()
    store.transaction(() => {
      for (const version of found) if (version.version !== development) registrations.take(version)
      registrations.begin(model)
    })
  }

  /** A registration moves the alias: only where that leads to news are all versions looked at. */
  async function isNews(): Promise<boolean> {
    const development = await developed().catch(unlessNone(null))
    if (development === null) return false
    const latest = await registry.get(model, development)
    return latest.registeredAt !== null && !registrations.wasTaken(latest)
  }

  /** Lowest number first, which is the order in which they were registered but where somebody chose the number. */
  async function take(): Promise<void> {
    if (!registrations.hasBegun(model)) await begin()
    if (!(await isNews())) return
    const news = (await registered()).filter(version => !registrations.wasTaken(version))
    for (const version of news) await takeOne(version)
    nudge()
  }

  async function takeOne(found: ModelVersion): Promise<void> {
    const start = { found, trigger: 'registration' as const, startedBy: found.registeredBy ?? 'registry' }
    const read = await readPipeline(modelsDir, model).catch((error: unknown) => describeProblem(error))
    store.transaction(() => {
      registrations.take(found)
      if (found.failed !== null || starter.underWay(found) !== undefined) return
      if (typeof read !== 'string') {
        if (read.settings.onRegistration) starter.start(start, read.source)
        return
      }
      // in one commit: a run that is there would go on with the defaults
      const run = breakOff(starter.start(start, {}), read, clock.now())
      runs.save(run)
      starter.record(run.id, ACTOR, 'error', run.message)
    })
  }

  return {
    /** For tests that decide when. */
    take,
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await take().catch((error: unknown) => {
          log.warn({ reason: describeProblem(error) }, 'the registry cannot be asked what was registered')
        })
        await clock.sleep(LOOK_EVERY_MS, signal)
      }
    },
  }
}

/** Nothing was ever registered. */
function unlessNone<T>(instead: T): (error: unknown) => T {
  return error => {
    if (error instanceof WeirError && error.code === 'model_not_found') return instead
    throw error
  }
}
