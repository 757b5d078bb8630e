import { STEPS, type PipelineSettings, type RunPhase, type StepName } from '../../contract/pipeline.ts'

export type StepStatus = 'pending' | 'running' | 'passed' | 'failed' | 'skipped' | 'error' | 'cancelled'

export interface StepState {
  readonly name: StepName
  readonly status: StepStatus
  /** Milliseconds since the epoch. */
  readonly startedAt: number | null
  readonly endedAt: number | null
  readonly message: string
  readonly evidence: unknown
  readonly log: readonly { readonly at: number; readonly message: string }[]
}

/** What later steps use of earlier ones; null until it is known. */
export interface Outputs {
  /** The deployments that this run began, by which it recognises them whatever else happens there. */
  readonly stagingRevision: number | null
  readonly canaryRevision: number | null
  readonly rollout: string | null
  readonly approval: Approval | null
}

export interface Approval {
  readonly by: string
  readonly reason: string | null
  readonly at: number
  readonly approved: boolean
}

/** A person's, who wants nothing more of the run. */
export interface Cancellation {
  readonly by: string
  readonly reason: string
  readonly at: number
}

/** All that is remembered of a run between two looks; written to the store before anything is done about it. */
export interface Run {
  readonly id: string
  readonly model: string
  readonly version: string
  readonly digest: string
  readonly trigger: 'registration' | 'manual'
  readonly startedBy: string
  /** As somebody wrote it. */
  readonly source: unknown
  readonly settings: PipelineSettings
  readonly phase: RunPhase
  readonly message: string
  readonly steps: readonly StepState[]
  readonly outputs: Outputs
  readonly cancellation: Cancellation | null
  /** Why what is to be done was refused the last time; it is tried again. */
  readonly waitsFor: string | null
  readonly startedAt: number
  readonly endedAt: number | null
}

export interface NewRun extends Pick<
  Run,
  'id' | 'model' | 'version' | 'digest' | 'trigger' | 'startedBy' | 'source' | 'settings'
> {
  readonly now: number
}

export function newRun({ now, ...given }: NewRun): Run {
  return {
    ...given,
    phase: 'Queued',
    message: 'waiting for its turn',
    steps: stepsOf(given.settings).map(name => ({
      name,
      status: 'pending',
      startedAt: null,
      endedAt: null,
      message: '',
      evidence: null,
      log: [],
    })),
    outputs: { stagingRevision: null, canaryRevision: null, rollout: null, approval: null },
    cancellation: null,
    waitsFor: null,
    startedAt: now,
    endedAt: null,
  }
}

/** Where nothing can wait in between, because the old version stops before the new one starts, the person is asked before. */
function stepsOf({ strategy }: PipelineSettings): readonly StepName[] {
  if (strategy.recreate === undefined) return STEPS
  const others = STEPS.filter(name => name !== 'approval')
  return others.flatMap(name => (name === 'rollout' ? ['approval', name] : [name]))
}

/**
 * Before a first version there is none to compare with, and its rollout leads all users to it at once: the person is asked before
 * that, too. Returns the same run where it is none, or has been asked.
 */
export function approvalBeforeFirst(run: Run, isFirst: boolean): Run {
  const { steps, settings } = run
  const approval = stepOf(run, 'approval')
  const begins = currentStep(run)?.name === 'rollout' && stepOf(run, 'rollout')?.status === 'pending'
  if (!isFirst || !begins || settings.approval !== 'person' || approval?.status !== 'pending') return run
  const others = steps.filter(step => step !== approval)
  return { ...run, steps: others.flatMap(step => (step.name === 'rollout' ? [approval, step] : [step])) }
}

/** Whether the rollout itself waits for the person's approval, as its last one. */
export function asksInRollout({ steps, settings }: Run): boolean {
  const names = steps.map(({ name }) => name)
  return settings.approval === 'person' && names.indexOf('approval') > names.indexOf('rollout')
}

/** The step that is under way; undefined when all have ended. */
export function currentStep({ steps }: Run): StepState | undefined {
  return steps.find(({ status }) => status === 'running' || status === 'pending')
}

export function stepOf({ steps }: Run, name: StepName): StepState | undefined {
  return steps.find(step => step.name === name)
}
