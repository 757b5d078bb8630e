import { WeirError } from '../../contract/errors.ts'
import { ENDED_PHASES, pipelineSettings, type PipelineView } from '../../contract/pipeline.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { ModelVersion, Registry } from '../registry/registry.ts'
import type { VerbRequest } from '../rollouts/rollout-service.ts'
import type { Store } from '../store.ts'
import { breakOff } from './pipeline-machine.ts'
import { ACTOR, pipelineSubject } from './pipeline-reconcile.ts'
import { newRun, stepOf, type Run } from './pipeline-run.ts'
import { readPipeline } from './pipeline-settings.ts'
import type { PipelineStore, StoredRun } from './pipeline-store.ts'
import { whenOf } from './pipeline-when.ts'

export interface PipelinesOptions {
  readonly store: Store
  readonly runs: PipelineStore
  readonly registry: Pick<Registry, 'get' | 'aliases'>
  readonly audit: Audit
  /** The model that the environments are for. */
  readonly model: string
  readonly modelsDir: string
  readonly nudge: () => void
  readonly clock: Clock
  readonly log: Log
}

interface Start {
  readonly found: ModelVersion
  readonly trigger: Run['trigger']
  readonly startedBy: string
}

export interface Judgement extends VerbRequest {
  /** The person whose decision it is, where it is not the one who asks. */
  readonly as?: string | undefined
  readonly approved: boolean
}

export type Pipelines = ReturnType<typeof createPipelines>

const LOOK_EVERY_MS = 1000
/** Who asks without a name. */
const NOBODY = 'operator'

/** What people and registrations ask of the pipeline. Everything is persisted, with its audit record, before it is answered. */
export function createPipelines(options: PipelinesOptions) {
  const { store, runs, registry, audit, model, modelsDir, nudge, clock, log } = options

  function get(id: string): StoredRun {
    const stored = runs.get(id)
    if (stored === undefined) throw new WeirError('pipeline_not_found', `no run "${id.slice(0, 100)}"`)
    return stored
  }

  /** Looks up what a run needs and returns what starts it, in one commit. */
  async function prepareStart(
    asked: { readonly model: string; readonly version: string },
    { actor }: VerbRequest,
  ): Promise<() => PipelineView> {
    if (asked.model !== model)
      throw new WeirError('model_not_found', `the environments are for ${model}, not for ${asked.model}`)
    const found = await registry.get(model, asked.version)
    if (found.failed !== null)
      throw new WeirError('conflict', `version ${found.version} has failed before: ${found.failed}`)
    const { source } = await readPipeline(modelsDir, model)
    return () => {
      const run = create({ found, trigger: 'manual', startedBy: actor }, source)
      nudge()
      return pipelineView(get(run.id))
    }
  }

  function create({ found, trigger, startedBy }: Start, source: unknown): Run {
    const { version, digest } = found
    const base = `${model}-v${version}`.toLowerCase().replaceAll(/[^-a-z0-9.]/g, '-')
    return store.transaction(() => {
      let id = base
      for (let n = 2; runs.get(id) !== undefined; n++) id = `${base}-${n}`
      const settings = pipelineSettings.parse(source)
      const given = { id, model, version, digest, trigger, startedBy, source, settings }
      const run = newRun({ ...given, now: clock.now() })
      runs.create(run)
      record(id, startedBy, 'started', `${model} version ${version} (${digest}), by ${trigger}`)
      return run
    })
  }

  function record(id: string, actor: string, action: string, reason: string): void {
    audit.append({
      at: new Date(clock.now()).toISOString(),
      actor,
      action,
      subject: pipelineSubject(id),
      reason,
    })
  }

  /** A named person lets the version go to all users, or does not. */
  function judge(id: string, { actor, as, reason, ifMatch, approved }: Judgement): PipelineView {
    const by = as ?? actor
    if (by === NOBODY)
      throw new WeirError('invalid_setting', 'an approval needs a name: say who approves (--as NAME)')
    store.transaction(() => {
      const { run, version } = get(id)
      if (ifMatch !== undefined && ifMatch !== version)
        throw new WeirError('precondition_failed', `the run is at version ${version}, not ${ifMatch}`)
      const { approvers } = run.settings
      if (approvers !== undefined && !approvers.includes(by))
        throw new WeirError('forbidden', `${by} is none of the approvers: ${approvers.join(', ')}`)
      if (run.outputs.approval !== null || stepOf(run, 'approval')?.status !== 'running')
        throw new WeirError('conflict', `run "${id}" does not wait for an approval (${run.phase})`)
      const approval = { by, reason: reason ?? null, at: clock.now(), approved }
      runs.save({ ...run, outputs: { ...run.outputs, approval } })
      record(id, by, approved ? 'approve' : 'reject', reason ?? `asked by ${actor}`)
    })
    nudge()
    return pipelineView(get(id))
  }

  /** A registration moves the alias `development`: each content that it leads to is taken once. */
  async function takeRegistered(): Promise<void> {
    const { development } = await registry.aliases(model)
    if (development === undefined) return
    const found = await registry.get(model, development)
    if (found.registeredAt === null || found.failed !== null || runs.wasStarted(found)) return
    const start = { found, trigger: 'registration' as const, startedBy: found.registeredBy ?? 'registry' }
    try {
      const { source, settings } = await readPipeline(modelsDir, model)
      if (settings.onRegistration) create(start, source)
    } catch (error) {
      // in one commit: a run that is there would go on with the defaults
      store.transaction(() => {
        const run = breakOff(create(start, {}), describeProblem(error), clock.now())
        runs.save(run)
        record(run.id, ACTOR, 'error', run.message)
      })
    }
    nudge()
  }

  return {
    list: () => runs.list().map(pipelineView),
    view: (id: string) => pipelineView(get(id)),
    prepareStart,
    judge,
    /** One look at what was registered, for tests that decide when. */
    takeRegistered,
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await takeRegistered().catch((error: unknown) => {
          log.warn({ reason: describeProblem(error) }, 'the registry cannot be asked what was registered')
        })
        await clock.sleep(LOOK_EVERY_MS, signal)
      }
    },
  }
}

/** A run as the API shows it. Times are ISO 8601 (UTC). */
function pipelineView({ run, version }: StoredRun): PipelineView {
  const { id, model, digest, trigger, startedBy, phase, message, outputs } = run
  return {
    id,
    model,
    modelVersion: run.version,
    digest,
    trigger,
    startedBy,
    phase,
    message,
    steps: run.steps.map(step => ({
      name: step.name,
      status: step.status,
      when: whenOf(run, step.name),
      startedAt: inWords(step.startedAt),
      endedAt: inWords(step.endedAt),
      message: step.message,
      evidence: step.evidence,
      log: step.log.map(({ at, message: told }) => ({ at: new Date(at).toISOString(), message: told })),
    })),
    outputs: {
      stagingRevision: outputs.stagingRevision,
      canaryRevision: outputs.canaryRevision,
      rollout: outputs.rollout,
      approvedBy: outputs.approval?.approved === true ? outputs.approval.by : null,
    },
    startedAt: new Date(run.startedAt).toISOString(),
    endedAt: ENDED_PHASES.has(phase) ? inWords(run.endedAt) : null,
    version,
  }
}

function inWords(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
