import type { GateResult } from '../../contract/gate.ts'
import type { MeasureVersion } from './measure-version.ts'
import type { PipelineSeen } from './pipeline-machine.ts'
import type { Run } from './pipeline-run.ts'

interface Measuring {
  readonly results: GateResult[]
  complete: boolean
  readonly stop: AbortController
}

/** Measures what runs in staging for the run that brought it there. A controller that starts again begins the gates anew. */
export function createPipelineGates(measureVersion: MeasureVersion) {
  const measuring = new Map<string, Measuring>()

  async function measure(
    { model, version, digest, outputs, settings }: Run,
    into: Measuring,
    controllerEnds: AbortSignal,
  ): Promise<void> {
    const { gates } = settings
    const place = { environment: 'staging' as const, revision: outputs.stagingRevision, gates }
    const signal = AbortSignal.any([controllerEnds, into.stop.signal])
    const onResult = (result: GateResult) => void into.results.push(result)
    await measureVersion({ ...place, model, version, digest }, { onResult, signal })
    into.complete = !signal.aborted
  }

  return {
    /** Begins to measure, unless that is under way. */
    begin(run: Run, signal: AbortSignal): void {
      if (measuring.has(run.id)) return
      const into: Measuring = { results: [], complete: false, stop: new AbortController() }
      measuring.set(run.id, into)
      void measure(run, into, signal)
    },
    seen: ({ id }: Run): PipelineSeen['gates'] => {
      const known = measuring.get(id)
      return known === undefined ? null : { results: [...known.results], complete: known.complete }
    },
    /** What measures still is ended. */
    forget({ id }: Run): void {
      measuring.get(id)?.stop.abort()
      measuring.delete(id)
    },
  }
}

export type PipelineGates = ReturnType<typeof createPipelineGates>
