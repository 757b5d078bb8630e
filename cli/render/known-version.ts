import { ENDED_PHASES, type PipelineView } from '../../contract/pipeline.ts'
import type { ModelVersionView } from '../../contract/registry.ts'
import { inOneLine } from './one-line.ts'

/** A registration is seen by the pipeline a moment later: its run has no name yet. */
export const HOW_TO_FOLLOW =
  '  its run and how it goes: npx weir pipeline list; step by step: npx weir pipeline show RUN --watch'

type Run = Pick<PipelineView, 'id' | 'model' | 'modelVersion' | 'phase'>

/** What is so, and what to do, where a scenario's content is a version already: a pipeline takes each content once. */
export function describeKnown(
  { model, version, digest, failed }: ModelVersionView,
  runs: readonly Run[],
): string {
  const own = runs.filter(run => run.model === model && run.modelVersion === version)
  const underWay = own.find(({ phase }) => !ENDED_PHASES.has(phase))
  const heard = `${model}/${version} is this content already (${digest}): nothing was registered`
  if (underWay !== undefined)
    return `${heard}\nits pipeline is under way: weir pipeline show ${underWay.id} --watch`
  return [
    heard,
    failed === null
      ? `start its pipeline by hand: weir pipeline run ${model} ${version}`
      : `it failed: ${inOneLine(failed)}`,
    'to rehearse it as a new version, add --again',
  ].join('\n')
}
