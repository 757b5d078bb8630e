import { WeirError } from '../../contract/errors.ts'
import { ENDED_PHASES, type PipelineView } from '../../contract/pipeline.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Registry } from '../registry/registry.ts'
import { versionFailed } from '../registry/version-failed.ts'
import type { VerbRequest } from '../rollouts/rollout-service.ts'
import type { Store } from '../store.ts'
import { requireApprover, requireName } from './pipeline-approvers.ts'
import { cancel } from './pipeline-machine.ts'
import { ACTOR } from './pipeline-reconcile.ts'
import { stepOf } from './pipeline-run.ts'
import { readPipeline } from './pipeline-settings.ts'
import type { Starter } from './pipeline-start.ts'
import type { PipelineStore, StoredRun } from './pipeline-store.ts'
import { whenOf } from './pipeline-when.ts'

export interface PipelinesOptions {
  readonly store: Store
  readonly runs: PipelineStore
  readonly registry: Pick<Registry, 'get'>
  readonly starter: Starter
  /** The model that the environments are for. */
  readonly model: string
  readonly modelsDir: string
  readonly nudge: () => void
  readonly clock: Clock
}

export interface Judgement extends VerbRequest {
  /** The person whose decision it is, where it is not the one who asks. */
  readonly as?: string | undefined
  readonly approved: boolean
}

export interface CancelRequest extends VerbRequest {
  readonly as?: string | undefined
  readonly reason: string
}

export type Pipelines = ReturnType<typeof createPipelines>

/** What people ask of the pipeline. Everything is persisted, with its audit record, before it is answered. */
export function createPipelines(options: PipelinesOptions) {
  const { store, runs, registry, starter, model, modelsDir, nudge, clock } = options
  const { record } = starter

  function get(id: string): StoredRun {
    const stored = runs.get(id)
    if (stored === undefined) throw new WeirError('pipeline_not_found', `no run "${id.slice(0, 100)}"`)
    return stored
  }

  function getAt(id: string, ifMatch: number | undefined): StoredRun {
    const stored = get(id)
    if (ifMatch === undefined || ifMatch === stored.version) return stored
    throw new WeirError('precondition_failed', `the run is at version ${stored.version}, not ${ifMatch}`)
  }

  /** A run that waits says for which: that one may wait for a person. */
  function shown(stored: StoredRun): PipelineView {
    const view = pipelineView(stored)
    if (view.phase !== 'Queued') return view
    const before = runs.active().find(({ run }) => run.phase !== 'Queued')?.run.id
    return before === undefined ? view : { ...view, message: `${view.message}: ${before} is under way` }
  }

  /** Looks up what a run needs and returns what starts it, in one commit. */
  async function prepareStart(
    asked: { readonly model: string; readonly version: string },
    { actor }: VerbRequest,
  ): Promise<() => PipelineView> {
    if (asked.model !== model)
      throw new WeirError('model_not_found', `the environments are for ${model}, not for ${asked.model}`)
    const found = await registry.get(model, asked.version)
    if (found.failed !== null) throw versionFailed(found)
    const { source } = await readPipeline(modelsDir, model)
    return () => {
      const other = starter.underWay(found)
      if (other !== undefined)
        throw new WeirError('conflict', `run "${other.id}" of version ${asked.version} is under way`, {
          details: { run: other.id, phase: other.phase },
        })
      const run = starter.start({ found, trigger: 'manual', startedBy: actor }, source)
      nudge()
      return shown(get(run.id))
    }
  }

  /** A named person lets the version go to all users, or does not. */
  function judge(id: string, { actor, as, reason, ifMatch, approved }: Judgement): PipelineView {
    const by = as ?? actor
    store.transaction(() => {
      const { run } = getAt(id, ifMatch)
      requireApprover(run.settings, by)
      if (run.outputs.approval !== null || stepOf(run, 'approval')?.status !== 'running')
        throw new WeirError('conflict', `run "${id}" does not wait for an approval (${run.phase})`)
      const approval = { by, reason: reason ?? null, at: clock.now(), approved }
      runs.save({ ...run, outputs: { ...run.outputs, approval } })
      record(id, by, approved ? 'approve' : 'reject', reason ?? `asked by ${actor}`)
    })
    nudge()
    return shown(get(id))
  }

  /** A named person wants nothing more of a run; asked again, it changes nothing. */
  function cancelRun(id: string, { actor, as, reason, ifMatch }: CancelRequest): PipelineView {
    const by = as ?? actor
    requireName(by, 'a cancellation needs a name: say who cancels (--as NAME, or the header x-weir-actor)')
    store.transaction(() => {
      if (get(id).run.cancellation !== null) return
      const { run } = getAt(id, ifMatch)
      if (run.phase !== 'Queued' && run.phase !== 'Running')
        throw new WeirError('conflict', `run "${id}" cannot be cancelled any more (${run.phase})`)
      const after = cancel(run, { by, reason, at: clock.now() })
      runs.save(after)
      record(id, by, 'cancel', reason)
      if (after.phase === 'Cancelled') record(id, ACTOR, 'cancelled', after.message)
    })
    nudge()
    return shown(get(id))
  }

  return {
    list: () => runs.list().map(shown),
    view: (id: string) => shown(get(id)),
    prepareStart,
    judge,
    cancel: cancelRun,
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
    // a step that is under way says it itself
    message:
      phase === 'Reverting' && run.waitsFor !== null ? `${message}; tried again: ${run.waitsFor}` : message,
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
    cancelledBy: run.cancellation?.by ?? null,
    startedAt: new Date(run.startedAt).toISOString(),
    endedAt: ENDED_PHASES.has(phase) ? inWords(run.endedAt) : null,
    version,
  }
}

function inWords(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
