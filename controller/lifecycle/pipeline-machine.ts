import type { GateResult } from '../../contract/gate.ts'
import { TERMINAL_PHASES, type Phase } from '../../contract/rollout.ts'
import type { StepName } from '../../contract/pipeline.ts'
import type { Stage } from './environment-state.ts'
import {
  approvalBeforeFirst,
  asksInRollout,
  currentStep,
  stepOf,
  type Cancellation,
  type Run,
  type StepState,
} from './pipeline-run.ts'
import { conclusionOf, type Conclusion } from './pipeline-steps.ts'
import { whySkip } from './pipeline-when.ts'

/** What is seen of the deployment that a run made into an environment. */
export interface DeployedSeen {
  /** What the environment runs. */
  readonly current: { readonly version: string; readonly digest: string; readonly revision: number } | null
  /** Of this run's deployment while it is under way. */
  readonly stage: Stage | null
  /** Why this run's deployment was given up. */
  readonly failure: string | null
  /** Which gate it failed already while it was waited for. */
  readonly gate: GateResult | null
  /** Something is under way in the environment, by whomever. */
  readonly busy: boolean
  /** Its failure is in the books as a version's that failed, not only as that of a deployment that came to nothing. */
  readonly reverted: boolean
  /** The good version that could not be returned to yet. */
  readonly returnsTo?: string | undefined
}

export interface PipelineSeen {
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Whether the version's files are at hand; `away`: who has them does not answer. Null: not asked. */
  readonly packaged: { readonly kind: 'there' | 'wrong' | 'away'; readonly message: string } | null
  readonly staging: DeployedSeen
  readonly canary: DeployedSeen
  readonly production: DeployedSeen
  /** Of the gates that ended; complete when no more will come. */
  readonly gates: { readonly results: readonly GateResult[]; readonly complete: boolean } | null
  readonly rollout: {
    readonly phase: Phase
    readonly cause: string | null
    readonly message: string
    /** For the approval that this run asks for, and not for one of the strategy's own. */
    readonly awaitsPerson: boolean
  } | null
  /** What answered at production's own route, asked after all else was seen, and where its alias leads. Null: not asked. */
  readonly users: {
    readonly answer: { readonly version: string; readonly digest: string } | null
    /** Undefined: the registry could not be asked. */
    readonly alias: string | null | undefined
  } | null
}

/** The next state of a run: as many steps further as can be told from what was seen. Pure. */
export function nextRun(before: Run, seen: PipelineSeen): Run {
  if (before.phase === 'Reverting') return awaitReturn(before, seen)
  if (before.phase !== 'Running') return before
  const run = approvalBeforeFirst(before, seen.production.current === null)
  const step = currentStep(run)
  if (step === undefined) return ended(run, 'Passed', `version ${run.version} is in production`, seen.now)
  if (step.status === 'pending') {
    const skip = whySkip(run, step.name, seen)
    if (skip !== undefined)
      return nextRun(conclude(run, step, { status: 'skipped', message: skip }, seen.now), seen)
    const begun = change(run, step.name, { status: 'running', startedAt: seen.now })
    return nextRun({ ...begun, message: `${step.name} is under way` }, seen)
  }
  const conclusion = conclusionOf(run, step.name, seen)
  if (conclusion.status === 'running') return noted(run, step, conclusion, seen.now)
  const after = conclude(run, step, conclusion, seen.now)
  if (conclusion.status === 'passed' || conclusion.status === 'skipped') return nextRun(after, seen)
  return fail(after, step.name, conclusion, seen.now)
}

/** What follows a step that did not pass does not run; what the version was deployed to goes back where that is its fault. */
function fail(run: Run, name: StepName, { status, message }: Conclusion, now: number): Run {
  const steps = run.steps.map(step =>
    step.status === 'pending'
      ? { ...step, status: 'skipped' as const, message: `${name} did not pass` }
      : step,
  )
  const why = `${name}: ${message}`
  const stopped = { ...run, steps, message: why }
  return status === 'failed' ? { ...stopped, phase: 'Reverting' } : ended(stopped, 'Error', why, now)
}

function awaitReturn(run: Run, seen: PipelineSeen): Run {
  if (isLive(seen.rollout)) return run
  if (hasUsers(run, seen.rollout))
    return ended(
      run,
      'Cancelled',
      `${run.message}; production runs it: weir env rollback production`,
      seen.now,
    )
  const deployed = [
    ...(run.outputs.stagingRevision === null ? [] : [{ name: 'staging', ...seen.staging }]),
    ...(run.outputs.canaryRevision === null ? [] : [{ name: 'canary', ...seen.canary }]),
  ]
  const isReverted = ({ failure, reverted }: DeployedSeen) =>
    run.cancellation === null ? reverted : failure !== null
  if (deployed.some(one => one.busy || !isReverted(one))) return run
  const places = deployed.map(({ name, current, returnsTo }) => {
    if (current === null) return `${name} is stopped`
    const still = returnsTo === undefined ? '' : ` still, until version ${returnsTo} starts again`
    return `${name} runs version ${current.version}${still}`
  })
  const phase = run.cancellation === null ? 'Failed' : 'Cancelled'
  return ended(run, phase, [run.message, ...places].join('; '), seen.now)
}

function isLive(rollout: PipelineSeen['rollout']): boolean {
  return rollout !== null && !TERMINAL_PHASES.has(rollout.phase)
}

/** Who cancels a run does not take back what all users have. */
function hasUsers({ cancellation }: Run, rollout: PipelineSeen['rollout']): boolean {
  return cancellation !== null && rollout?.phase === 'Promoted'
}

function conclude(run: Run, step: StepState, conclusion: Conclusion, now: number): Run {
  const { status, message, evidence = null } = conclusion
  const log = logged(step, message, now)
  const changed = change(run, step.name, { status, message, evidence, endedAt: now, log })
  return { ...changed, waitsFor: null, message: `${step.name}: ${message}` }
}

/** Under way still: what it says now is kept where it is news. */
function noted(
  run: Run,
  step: StepState,
  { message, evidence = step.evidence }: Conclusion,
  now: number,
): Run {
  if (step.message === message && JSON.stringify(step.evidence) === JSON.stringify(evidence)) return run
  const changed = change(run, step.name, { message, evidence, log: logged(step, message, now) })
  return { ...changed, message: `${step.name}: ${message}` }
}

const MAX_LOG = 100

function logged({ log, message: last }: StepState, message: string, at: number): StepState['log'] {
  return message === last ? log : [...log, { at, message }].slice(-MAX_LOG)
}

function change(run: Run, name: StepName, changes: Partial<StepState>): Run {
  const steps = run.steps.map(step => (step.name === name ? { ...step, ...changes } : step))
  return { ...run, steps }
}

function ended(run: Run, phase: Run['phase'], message: string, now: number): Run {
  return { ...run, phase, message, endedAt: now }
}

/** What is to be done about a run as it stands; nothing that was done once is asked for again. Pure. */
export type Effect =
  | { readonly kind: 'deploy'; readonly to: 'staging' | 'canary' }
  | { readonly kind: 'gates' }
  | { readonly kind: 'start-rollout' }
  | {
      readonly kind: 'decide-rollout'
      readonly verb: 'approve' | 'reject' | 'abort'
      readonly by: string
      readonly reason: string | null
    }
  | { readonly kind: 'alias-production' }
  /** Once no rollout leads users to the version any more. */
  | { readonly kind: 'revert' }
  | { readonly kind: 'none' }

export function effectOf(run: Run, { rollout: seen, users, production }: PipelineSeen): Effect {
  if (run.phase === 'Reverting') return wayBack(run, seen)
  if (run.phase !== 'Running') return { kind: 'none' }
  const { stagingRevision, canaryRevision, rollout, approval: given } = run.outputs
  if (given?.approved === true && asksInRollout(run) && seen?.awaitsPerson === true)
    return { kind: 'decide-rollout', verb: 'approve', by: given.by, reason: given.reason }
  const isRunning = (name: StepName) => stepOf(run, name)?.status === 'running'
  if (isRunning('deploy-staging') && stagingRevision === null) return { kind: 'deploy', to: 'staging' }
  if (isRunning('deploy-canary') && canaryRevision === null) return { kind: 'deploy', to: 'canary' }
  if (isRunning('gates')) return { kind: 'gates' }
  if (isRunning('rollout') && rollout === null) return { kind: 'start-rollout' }
  const { digest, version } = run
  const isThere =
    production.current?.digest === digest && users?.answer?.digest === digest && !production.busy
  if (isRunning('alias-production') && isThere && users.alias !== undefined && users.alias !== version)
    return { kind: 'alias-production' }
  return { kind: 'none' }
}

/** Whatever a rollout waits for, users are taken off the version before anything else goes back. */
function wayBack(run: Run, seen: PipelineSeen['rollout']): Effect {
  const { cancellation, outputs } = run
  if (hasUsers(run, seen) || seen?.phase === 'RollingBack') return { kind: 'none' }
  if (!isLive(seen)) return { kind: 'revert' }
  const person = cancellation ?? outputs.approval
  if (person === null) return { kind: 'none' }
  const { by, reason } = person
  return { kind: 'decide-rollout', verb: cancellation === null ? 'reject' : 'abort', by, reason }
}

/** Nothing more is begun; what was, goes back, and is not held against the version. A run that waits for its turn just ends. */
export function cancel(run: Run, cancellation: Cancellation): Run {
  const { by, reason, at } = cancellation
  const message = `cancelled by ${by}: ${reason}`
  const steps = run.steps.map((step): StepState => {
    if (step.status === 'running')
      return { ...step, status: 'cancelled', message, endedAt: at, log: logged(step, message, at) }
    return step.status === 'pending' ? { ...step, status: 'skipped', message: 'the run was cancelled' } : step
  })
  const cancelled = { ...run, steps, message, cancellation }
  return run.phase === 'Queued'
    ? ended(cancelled, 'Cancelled', message, at)
    : { ...cancelled, phase: 'Reverting' }
}

/** A step that cannot be done, which is nothing that the version did. */
export function breakOff(run: Run, message: string, now: number): Run {
  const step = currentStep(run)
  if (step === undefined) return run
  const conclusion = { status: 'error' as const, message }
  return fail(conclude(run, step, conclusion, now), step.name, conclusion, now)
}
