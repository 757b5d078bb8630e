import type { GateResult } from '../../contract/gate.ts'
import { TERMINAL_PHASES, type Phase } from '../../contract/rollout.ts'
import type { StepName } from '../../contract/pipeline.ts'
import type { Stage } from './environment-state.ts'
import {
  approvalBeforeFirst,
  currentStep,
  stepOf,
  type Run,
  type StepState,
  type StepStatus,
} from './pipeline-run.ts'
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
  /** Whether the version's files are at hand; null: not asked. */
  readonly packaged: { readonly ok: boolean; readonly message: string } | null
  readonly staging: DeployedSeen
  readonly canary: DeployedSeen
  readonly production: DeployedSeen
  /** Of the gates that ended; complete when no more will come. */
  readonly gates: { readonly results: readonly GateResult[]; readonly complete: boolean } | null
  readonly rollout: {
    readonly phase: Phase
    readonly cause: string | null
    readonly message: string
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
  if (conclusion.status === 'passed') return nextRun(after, seen)
  return fail(after, step.name, conclusion, seen.now)
}

interface Conclusion {
  readonly status: StepStatus
  readonly message: string
  readonly evidence?: unknown
}

function conclusionOf(run: Run, name: StepName, seen: PipelineSeen): Conclusion {
  switch (name) {
    case 'package':
      if (seen.packaged === null) return running('the files are being fetched')
      return { status: seen.packaged.ok ? 'passed' : 'error', message: seen.packaged.message }
    case 'deploy-staging':
    case 'verify-staging':
    case 'alias-staging':
      return deployment(run, name, { ...seen.staging, revision: run.outputs.stagingRevision })
    case 'deploy-canary':
    case 'verify-canary':
    case 'alias-canary':
      return deployment(run, name, { ...seen.canary, revision: run.outputs.canaryRevision })
    case 'gates':
      return gates(seen)
    case 'rollout':
      return rollout(run, seen)
    case 'approval':
      return approval(run, seen)
    case 'production':
    case 'alias-production':
      return production(run, name, seen)
  }
}

/** The three steps into an environment follow one deployment: it gets ready, answers at its own route, and has the alias. */
function deployment(
  run: Run,
  name: StepName,
  { revision, current, stage, failure, gate }: DeployedSeen & { readonly revision: number | null },
): Conclusion {
  const { version, digest } = run
  if (revision === null) return running(`the deployment of version ${version} is about to begin`)
  if (failure !== null) return { status: 'failed', message: failure, evidence: gate && [gate] }
  const runs = current?.revision === revision
  const evidence = { revision, digest }
  if (!runs && stage === null) return { status: 'error', message: 'a newer deployment took its place' }
  if (stage === 'returning') return running('it is being given up')
  if (name.startsWith('deploy-'))
    return runs || stage !== 'starting'
      ? { status: 'passed', message: `version ${version} is ready`, evidence }
      : running(`waiting for version ${version}`)
  if (name.startsWith('verify-'))
    return runs || stage === 'aliasing'
      ? { status: 'passed', message: `exactly ${digest} answers`, evidence }
      : running(`waiting for exactly ${digest}`)
  return runs
    ? { status: 'passed', message: `the alias leads to version ${version}`, evidence }
    : running('the alias is moving')
}

function gates({ gates: seen, staging }: PipelineSeen): Conclusion {
  if (seen === null) return running('the gates are about to begin')
  const { results, complete } = seen
  const evidence = results
  const failed = results.find(({ verdict }) => verdict === 'fail')
  const unknown = results.find(({ verdict }) => verdict === 'error')
  if (!complete) {
    const passed = results.map(({ gate }) => gate).join(', ')
    return { ...running(passed === '' ? 'the gates measure' : `passed so far: ${passed}`), evidence }
  }
  if (failed) return { status: 'failed', message: `${failed.gate}: ${failed.reason}`, evidence }
  if (unknown) return { status: 'error', message: `${unknown.gate}: ${unknown.reason}`, evidence }
  if (staging.failure !== null) return { status: 'failed', message: staging.failure, evidence }
  const names = results.map(({ gate }) => gate).join(', ')
  return { status: 'passed', message: names === '' ? 'no gate is asked for' : `passed: ${names}`, evidence }
}

function rollout(run: Run, { rollout: seen, canary }: PipelineSeen): Conclusion {
  const { rollout: name } = run.outputs
  if (name === null && canary.failure !== null) return { status: 'failed', message: canary.failure }
  if (name === null || seen === null) return running('the rollout is about to begin')
  const evidence = { rollout: name, phase: seen.phase, cause: seen.cause }
  const waits = seen.phase === 'Paused' && seen.cause === 'approval'
  if (waits || seen.phase === 'Promoting' || seen.phase === 'Promoted')
    return { status: 'passed', message: seen.message, evidence }
  return notOver(seen, evidence)
}

function notOver(seen: NonNullable<PipelineSeen['rollout']>, evidence: unknown): Conclusion {
  if (!TERMINAL_PHASES.has(seen.phase) || seen.phase === 'Promoted')
    return { ...running(`${seen.phase}: ${seen.message}`), evidence }
  // something newer took its place, which says nothing against this version
  const status = seen.phase === 'Superseded' ? 'error' : 'failed'
  return { status, message: `the rollout ended ${seen.phase}: ${seen.message}`, evidence }
}

function approval(run: Run, { rollout: seen }: PipelineSeen): Conclusion {
  const { approval: given, rollout: name } = run.outputs
  if (given !== null) {
    const { by, approved, reason } = given
    const message = `${approved ? 'approved' : 'rejected'} by ${by}${reason === null ? '' : `: ${reason}`}`
    return { status: approved ? 'passed' : 'failed', message, evidence: given }
  }
  if (name === null || seen === null || (seen.phase === 'Paused' && seen.cause === 'approval'))
    return running(`waiting for a person: weir pipeline approve ${run.id} --as NAME`)
  // the rollout's own verb does as well; who it was is in the rollout's audit
  if (seen.phase === 'Promoting' || seen.phase === 'Promoted')
    return { status: 'passed', message: `approved at the rollout ${name}`, evidence: { rollout: name } }
  return notOver(seen, null)
}

function production(run: Run, name: StepName, { production: env, rollout: seen }: PipelineSeen): Conclusion {
  const { version, digest } = run
  if (run.outputs.rollout !== null && seen !== null && seen.phase !== 'Promoted') {
    const conclusion = notOver(seen, null)
    if (conclusion.status !== 'running') return conclusion
  }
  if (env.current?.digest !== digest) return running(`waiting for exactly ${digest} in production`)
  const message =
    name === 'production' ? `exactly ${digest} answers` : `the alias production leads to version ${version}`
  return { status: 'passed', message, evidence: { revision: env.current.revision, digest } }
}

/** What follows a step that did not pass does not run; what the version was deployed to goes back where that is its fault. */
function fail(run: Run, name: StepName, { status, message }: Conclusion, now: number): Run {
  const steps = run.steps.map(step =>
    step.status === 'pending' ? { ...step, status: 'skipped' as const, message: `not after ${name}` } : step,
  )
  const why = `${name}: ${message}`
  const stopped = { ...run, steps, message: why }
  return status === 'failed' ? { ...stopped, phase: 'Reverting' } : ended(stopped, 'Error', why, now)
}

function awaitReturn(run: Run, { staging, canary, now }: PipelineSeen): Run {
  const deployed = [
    ...(run.outputs.stagingRevision === null ? [] : [{ name: 'staging', ...staging }]),
    ...(run.outputs.canaryRevision === null ? [] : [{ name: 'canary', ...canary }]),
  ]
  if (deployed.some(({ busy, reverted }) => busy || !reverted)) return run
  const places = deployed.map(({ name, current, returnsTo }) => {
    if (current === null) return `${name} is stopped`
    const still = returnsTo === undefined ? '' : ` still, until version ${returnsTo} starts again`
    return `${name} runs version ${current.version}${still}`
  })
  return ended(run, 'Failed', [run.message, ...places].join('; '), now)
}

function conclude(run: Run, step: StepState, conclusion: Conclusion, now: number): Run {
  const { status, message, evidence = null } = conclusion
  const log = logged(step, message, now)
  const changed = change(run, step.name, { status, message, evidence, endedAt: now, log })
  return { ...changed, message: `${step.name}: ${message}` }
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

function running(message: string): Conclusion {
  return { status: 'running', message }
}

/** What is to be done about a run as it stands; nothing that was done once is asked for again. Pure. */
export type Effect =
  | { readonly kind: 'deploy'; readonly to: 'staging' | 'canary' }
  | { readonly kind: 'gates' }
  | { readonly kind: 'start-rollout' }
  | { readonly kind: 'decide-rollout'; readonly verb: 'approve' | 'reject'; readonly by: string }
  /** Once no rollout leads users to the version any more. */
  | { readonly kind: 'revert' }
  | { readonly kind: 'none' }

export function effectOf(run: Run, { rollout: seen }: Pick<PipelineSeen, 'rollout'>): Effect {
  const { stagingRevision, canaryRevision, rollout, approval: given } = run.outputs
  if (run.phase === 'Reverting' && (seen === null || TERMINAL_PHASES.has(seen.phase)))
    return { kind: 'revert' }
  const waits = seen?.phase === 'Paused' && seen.cause === 'approval'
  if (rollout !== null && given !== null && waits)
    return { kind: 'decide-rollout', verb: given.approved ? 'approve' : 'reject', by: given.by }
  if (run.phase !== 'Running') return { kind: 'none' }
  const isRunning = (name: StepName) => stepOf(run, name)?.status === 'running'
  if (isRunning('deploy-staging') && stagingRevision === null) return { kind: 'deploy', to: 'staging' }
  if (isRunning('deploy-canary') && canaryRevision === null) return { kind: 'deploy', to: 'canary' }
  if (isRunning('gates')) return { kind: 'gates' }
  if (isRunning('rollout') && rollout === null) return { kind: 'start-rollout' }
  return { kind: 'none' }
}

/** A step that cannot be done, which is nothing that the version did. */
export function breakOff(run: Run, message: string, now: number): Run {
  const step = currentStep(run)
  if (step === undefined) return run
  const conclusion = { status: 'error' as const, message }
  return fail(conclude(run, step, conclusion, now), step.name, conclusion, now)
}
