import { pipelineSettings } from '../../contract/pipeline.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Audit } from '../audit.ts'
import type { ModelVersion } from '../registry/registry.ts'
import type { Store } from '../store.ts'
import { newRun, type Run } from './pipeline-run.ts'
import type { PipelineStore } from './pipeline-store.ts'

interface StarterOptions {
  readonly store: Store
  readonly runs: PipelineStore
  readonly audit: Audit
  readonly clock: Clock
}

export interface Start {
  readonly found: ModelVersion
  readonly trigger: Run['trigger']
  readonly startedBy: string
}

export type Starter = ReturnType<typeof createStarter>

/** Begins runs, and writes down what is decided about them. */
export function createStarter({ store, runs, audit, clock }: StarterOptions) {
  function record(id: string, actor: string, action: string, reason: string): void {
    const at = new Date(clock.now()).toISOString()
    audit.append({ at, actor, action, subject: pipelineSubject(id), reason })
  }

  /** `source`: pipeline.yaml as it was read. */
  function start({ found, trigger, startedBy }: Start, source: unknown): Run {
    const { model, version, digest } = found
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

  return {
    start,
    record,
    /** The run of this content that is not over; there is one at most. */
    underWay: ({ digest }: ModelVersion): Run | undefined =>
      runs.active().find(({ run }) => run.digest === digest)?.run,
  }
}

/** As the audit knows a run; rollouts may bear the same names. */
export function pipelineSubject(id: string): string {
  return `pipeline/${id}`
}
