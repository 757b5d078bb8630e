import type { StepName } from '../../contract/pipeline.ts'
import type { PipelineSeen } from './pipeline-machine.ts'
import type { Run } from './pipeline-run.ts'

/** On what it depends whether a step is run; null: it always is. */
export function whenOf({ settings }: Run, name: StepName): string | null {
  if (name === 'approval') return settings.approval === 'person' ? null : 'approval: person'
  return PAST_GATES.has(name) ? 'production does not run this digest' : null
}

const PAST_GATES: ReadonlySet<StepName> = new Set([
  'deploy-canary',
  'verify-canary',
  'alias-canary',
  'rollout',
  'approval',
])

/** Undefined: it is run. */
export function whySkip(run: Run, name: StepName, { production }: PipelineSeen): string | undefined {
  if (PAST_GATES.has(name) && run.outputs.rollout === null && production.current?.digest === run.digest)
    return 'production runs this digest already'
  if (name === 'approval' && run.settings.approval === 'automatic') return 'the evidence decides'
  return undefined
}
