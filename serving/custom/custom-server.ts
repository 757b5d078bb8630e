import { causeOfEnding, describeEnding, type ExitRecord } from '../../contract/exit-record.ts'
import type { CustomManifest } from '../../contract/model-manifest.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { countOomKills } from '../../lib/oom-kills.ts'
import { refusalReason } from '../manifest.ts'
import type { ServeOptions } from '../options.ts'
import { createServingMetrics } from '../serving-metrics.ts'
import type { Standing, StandingServer } from '../standing-routes.ts'
import { startCustomProcess, type CustomProcess } from './custom-process.ts'
import { readCustomVersion, type CustomVersion } from './custom-version.ts'
import { FRESH, judgeLook, pastAfter, type Look } from './judge-look.ts'

interface ServedCommand {
  readonly name: string
  readonly version: string
  readonly digest: string | undefined
}

export type CustomState =
  | Exclude<Standing, { kind: 'ready' }>
  | { readonly kind: 'ready'; readonly model: ServedCommand; readonly predictUrl: string }

export interface CustomServer extends StandingServer {
  state(): CustomState
  /** Ends in the state refused, or when the command was started for the first time; never throws. */
  load(): Promise<void>
  drain(): void
  close(): Promise<void>
  /** Requests that are being passed on. */
  readonly inFlight: { count: number; bytes: number }
}

export interface CustomServerOptions {
  readonly options: Pick<ServeOptions, 'model'>
  readonly clock: Clock
  readonly log: Log
}

const LOOK_EVERY_MS = 1000
const LOOK_WHILE_STARTING_MS = 100
const PROBE_LIMIT_MS = 2000
const STOP_GRACE_MS = 10_000
const RESTART_DELAY_LIMIT_MS = 30_000
/** A run of this length has gone well; what ended earlier ones is forgotten. */
const STEADY_MS = 60_000

/** Keeps a version's command running, and knows whether it may get requests. */
export function createCustomServer({ options, clock, log }: CustomServerOptions): CustomServer {
  let state: CustomState = { kind: 'loading' }
  let run: CustomProcess | undefined
  let loading: Promise<void> | undefined
  let supervision: Promise<void> | undefined
  const stopping = new AbortController()
  const inFlight = { count: 0, bytes: 0 }
  const metrics = createServingMetrics(() => inFlight.count)
  let residentBytes: number | undefined

  function become(next: CustomState): void {
    if (state.kind === 'draining') return
    const reasonOf = (one: CustomState) => ('reason' in one ? one.reason : undefined)
    if (next.kind !== state.kind || reasonOf(next) !== reasonOf(state)) {
      log.info({ state: next.kind, reason: reasonOf(next) }, next.kind === 'ready' ? 'ready' : 'not ready')
    }
    state = next
  }

  async function load(): Promise<void> {
    try {
      const version = await readCustomVersion(options.model)
      const { name, version: number, digest } = version.manifest
      metrics.setModel({ name, version: number, serverBytes: () => residentBytes })
      run = await startCustomProcess(version)
      supervision = supervise(version, { name, version: number, digest }).catch(refuse)
    } catch (error) {
      refuse(error)
    }
  }

  function refuse(error: unknown): void {
    become({ kind: 'refused', reason: refusalReason(error) })
    log.error({ err: error, model: options.model }, `not ready, and never will be: ${refusalReason(error)}`)
  }

  async function supervise(version: CustomVersion, model: ServedCommand): Promise<void> {
    for (let restarts = 0; run !== undefined; restarts++) {
      const begun = clock.now()
      const exit = await watch(run, { version, model, begun })
      if (exit === undefined) return
      const { reason } = exit
      become({ kind: 'loading', reason: `the server of this version is started again: ${reason}` })
      log.error({ reason, restarts, exit }, 'the server of this version ended, or had to be ended')
      await run.stop(STOP_GRACE_MS)
      if (clock.now() - begun > STEADY_MS) restarts = 0
      await clock.sleep(Math.min(RESTART_DELAY_LIMIT_MS, 200 * 2 ** restarts), stopping.signal)
      if (stopping.signal.aborted) return
      run = await startCustomProcess(version)
      metrics.countRestart()
    }
  }

  /** Looks at a run until it ends, has to be ended, or the whole server stops (undefined). */
  async function watch(
    current: CustomProcess,
    { version, model, begun }: { version: CustomVersion; model: ServedCommand; begun: number },
  ): Promise<ExitRecord | undefined> {
    const { manifest } = version
    const { live, ready, predict } = manifest.server.routes
    const enough = AbortSignal.any([current.ended, stopping.signal])
    let past = FRESH
    let peakBytes: number | null = null
    let oomKills: number | undefined
    while (!enough.aborted) {
      oomKills = countOomKills()
      residentBytes = await current.residentBytes()
      if (residentBytes !== undefined) peakBytes = Math.max(peakBytes ?? 0, residentBytes)
      const [liveProblem, readyProblem] = await Promise.all([
        probe(`${current.baseUrl}${live}`),
        probe(`${current.baseUrl}${ready}`),
      ])
      if (enough.aborted) break
      const look: Look = { ranMs: clock.now() - begun, liveProblem, readyProblem, residentBytes }
      const judgement = judgeLook(look, past, manifest)
      past = pastAfter(look, judgement, past)
      if (judgement.kind === 'end') {
        become({ kind: 'loading', reason: judgement.reason }) // before it gets requests that it cannot answer
        const why = { ...judgement, peakBytes, manifest }
        return judgement.cause === 'memory-limit' ? killForMemory(current, why) : ended(current, why)
      }
      if (judgement.kind === 'ready')
        become({ kind: 'ready', model, predictUrl: `${current.baseUrl}${predict}` })
      else become({ kind: 'loading', reason: judgement.reason })
      await clock.sleep(past.wasReady ? LOOK_EVERY_MS : LOOK_WHILE_STARTING_MS, enough)
    }
    const how = current.how()
    if (stopping.signal.aborted || how === undefined) return undefined
    const cause = causeOfEnding(how.signal, { before: oomKills, after: countOomKills() })
    return ended(current, { cause, reason: describeEnding(how, cause), peakBytes, manifest })
  }

  return {
    state: () => state,
    metrics,
    inFlight,
    load: () => (loading ??= load()),
    drain() {
      const { kind } = state
      state = { kind: 'draining', model: kind === 'ready' || kind === 'draining' ? state.model : undefined }
    },
    async close() {
      stopping.abort()
      await loading
      await supervision
      await run?.stop(STOP_GRACE_MS)
    },
  }
}

interface EndedRun {
  readonly cause: ExitRecord['cause']
  readonly reason: string
  readonly peakBytes: number | null
  readonly manifest: CustomManifest
}

/** It takes more each moment, whether it heeds a signal or not. One that ended by itself just before has crashed. */
async function killForMemory(run: CustomProcess, why: EndedRun): Promise<ExitRecord> {
  await run.kill()
  const { code = null, signal = null } = run.how() ?? {}
  if (signal === 'SIGKILL') return ended(run, why)
  return ended(run, { ...why, cause: 'crash', reason: describeEnding({ code, signal }, 'crash') })
}

function ended(run: CustomProcess, { cause, reason, peakBytes, manifest }: EndedRun): ExitRecord {
  const { code = null, signal = null } = run.how() ?? {}
  const limitBytes = cause === 'memory-limit' ? manifest.memoryLimitMiB * 2 ** 20 : null
  return { pid: run.pid, cause, code, signal, peakBytes, limitBytes, reason }
}

/** Why a route does not answer 2xx; undefined when it does. */
async function probe(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(PROBE_LIMIT_MS) })
    await response.body?.cancel()
    return response.ok ? undefined : `answers ${response.status}`
  } catch {
    return 'does not answer'
  }
}
