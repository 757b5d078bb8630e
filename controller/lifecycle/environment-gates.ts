import {
  ENVIRONMENTS,
  type EnvironmentName,
  type EnvironmentView,
  type GatesRun,
} from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import type { GateSettings } from '../../contract/gate.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { VerbRequest } from '../rollouts/rollout-service.ts'
import type { Running } from './environment-state.ts'
import type { Environments } from './environments.ts'
import type { MeasureVersion } from './measure-version.ts'
import { readPipeline } from './pipeline-settings.ts'

export interface EnvironmentGatesOptions {
  readonly environments: Environments
  readonly measureVersion: MeasureVersion
  readonly model: string
  readonly modelsDir: string
  readonly clock: Clock
  readonly log: Log
}

export interface GatesRequest extends VerbRequest {
  /** What is expected to run there; whatever does when absent. */
  readonly version?: string | undefined
}

export type EnvironmentGates = ReturnType<typeof createEnvironmentGates>

/**
 * The gates of the pipeline, asked for by a person: on exactly the version that an environment runs, so that it may go on from
 * there. Those that were under way when a controller ended come to nothing, which the next one says.
 */
export function createEnvironmentGates(options: EnvironmentGatesOptions) {
  const { environments, measureVersion, model, modelsDir, clock, log } = options
  const stop = new AbortController()
  const underWay = new Set<Promise<void>>()
  for (const name of ENVIRONMENTS) endInterrupted(name)

  function endInterrupted(name: EnvironmentName): void {
    const run = environments.gatesUnderWay(name)
    if (run === undefined) return
    const endedAt = new Date(clock.now()).toISOString()
    const results = isDecided(run.results) ? run.results : [...run.results, interrupted(run, endedAt)]
    environments.noteGates(name, { ...run, results, verdict: verdictOf(results), endedAt })
  }

  function requireRunning(name: EnvironmentName, { version, ifMatch }: GatesRequest): Running {
    environments.requireSeen(name, ifMatch)
    const running = environments.running(name)
    if (name === 'production')
      throw new WeirError('invalid_setting', 'gates are run where no users are: in staging or canary')
    if (running === null) throw new WeirError('not_verified', `${name} runs no version`)
    if (version !== undefined && version !== running.version)
      throw new WeirError('not_verified', `${name} runs version ${running.version}, not ${version}`)
    if (environments.gatesUnderWay(name) !== undefined)
      throw new WeirError('conflict', `the gates of ${name} are under way`, { retryAfterSeconds: 1 })
    return running
  }

  async function measure(
    name: EnvironmentName,
    { revision, version, digest }: Running,
    { run, gates }: { readonly run: GatesRun; readonly gates: GateSettings },
  ): Promise<void> {
    const place = { environment: name, revision, model, version, digest, gates }
    let results: GatesRun['results'] = []
    await measureVersion(place, {
      signal: stop.signal,
      onResult(result) {
        if (stop.signal.aborted) return // this controller ends: nothing more was found out
        results = [...results, result]
        environments.noteGates(name, { ...run, results })
      },
    })
    if (stop.signal.aborted) return // the next controller says so
    const endedAt = new Date(clock.now()).toISOString()
    environments.noteGates(name, { ...run, results, verdict: verdictOf(results), endedAt })
  }

  return {
    /** Looks up what the gates need and returns what begins them. */
    async prepare(name: EnvironmentName, request: GatesRequest): Promise<() => EnvironmentView> {
      requireRunning(name, request)
      const { gates } = (await readPipeline(modelsDir, model)).settings
      return () => {
        const running = requireRunning(name, request)
        const { actor: by, reason = '' } = request
        const startedAt = new Date(clock.now()).toISOString()
        const { revision, digest } = running
        const told = { revision, digest, by, reason, startedAt }
        const run: GatesRun = { ...told, verdict: null, results: [], endedAt: null }
        environments.noteGates(name, run)
        const measuring = measure(name, running, { run, gates })
          .catch((err: unknown) =>
            log.error({ err, environment: name }, 'the gates could not be written down'),
          )
          .finally(() => underWay.delete(measuring))
        underWay.add(measuring)
        return environments.view(name)
      }
    },
    /** Ends what is under way with the controller. */
    async stop(): Promise<void> {
      stop.abort()
      await Promise.all(underWay)
    },
    /** For tests: until nothing is under way. */
    settled: async () => void (await Promise.all(underWay)),
  }
}

/** After the first that does not pass no other is run. */
function isDecided(results: GatesRun['results']): boolean {
  return results.some(({ verdict }) => verdict !== 'pass')
}

function interrupted({ startedAt }: GatesRun, endedAt: string): GatesRun['results'][number] {
  const reason = 'interrupted by a restart of the controller'
  return { gate: 'gates', verdict: 'error', reason, evidence: null, startedAt, endedAt }
}

/** An error is no pass: what was to be known is not known. */
function verdictOf(results: GatesRun['results']): NonNullable<GatesRun['verdict']> {
  if (results.some(({ verdict }) => verdict === 'fail')) return 'fail'
  return results.some(({ verdict }) => verdict === 'error') ? 'error' : 'pass'
}
