import { pipelineSettings, type StepName } from '../../contract/pipeline.ts'
import { PHASES } from '../../contract/rollout.ts'
import {
  breakOff,
  cancel,
  effectOf,
  nextRun,
  type DeployedSeen,
  type PipelineSeen,
} from '../../controller/lifecycle/pipeline-machine.ts'
import { newRun, stepOf, type Outputs, type Run } from '../../controller/lifecycle/pipeline-run.ts'

/**
 * What kinds of transition lead from one state of a run to another; none where only what is known has changed. That a step is
 * under way is one of its own where it does not go with the end of the step before.
 */
export function transitionsOf(before: Run, after: Run): string[] {
  const phases = before.phase === after.phase ? [] : [`${before.phase} → ${after.phase}`]
  const ends = after.steps.flatMap(step => {
    const { name, status } = step
    if (status === stepOf(before, name)?.status || status === 'pending') return []
    if (status === 'running' || (status === 'skipped' && STOPPED.has(after.phase))) return []
    return [`${WHEREVER.has(status) ? 'a step' : placeOf(name, status)} ${status}`]
  })
  const known = (Object.keys(after.outputs) as (keyof Outputs)[])
    .filter(name => before.outputs[name] === null && after.outputs[name] !== null)
    .map(name => `${name} known`)
  const found = [...phases, ...ends, ...known]
  if (found.length > 0) return found
  const begun = after.steps.find(
    ({ name, status }) => status === 'running' && stepOf(before, name)?.status === 'pending',
  )
  return begun === undefined ? [] : [`${begun.name} begins`]
}

/** What would have followed is skipped then. */
const STOPPED: ReadonlySet<string> = new Set(['Reverting', 'Error', 'Cancelled'])
/** Whichever step it was, what is done is the same. */
const WHEREVER: ReadonlySet<string> = new Set(['error', 'cancelled'])

/** However far a deployment had come when it failed, what is done is the same. */
function placeOf(name: StepName, status: string): string {
  return status === 'failed' ? name.replace(/^(deploy|verify|alias)-/, '') : name
}

/** A run is there. */
export const FIRST_TRANSITION = '→ Queued'

const NOW = 1_750_000_000_000
const VERSION = { version: '2', digest: 'sha256:two' }
const SOURCES = [
  {},
  { approval: 'automatic' },
  { strategy: { recreate: {} } },
  { strategy: { recreate: {} }, approval: 'automatic' },
]

/**
 * Every kind of transition that the state machine of runs has: from the first state on, each state that it reaches is shown
 * everything that can be seen, and everything that is asked for happens.
 */
export function listPipelineTransitions(): ReadonlySet<string> {
  const found = new Set([FIRST_TRANSITION])
  for (const source of SOURCES) {
    const first = runOf(source)
    const reached = new Map([[keyOf(first), first]])
    for (const run of reached.values()) {
      for (const next of successors(run)) {
        for (const transition of transitionsOf(run, next)) found.add(transition)
        if (!reached.has(keyOf(next))) reached.set(keyOf(next), next)
      }
    }
  }
  return found
}

function runOf(source: object): Run {
  const settings = pipelineSettings.parse(source)
  const given = { id: 'food11-v2', model: 'food11', trigger: 'manual' as const, startedBy: 'ada' }
  return newRun({ ...given, ...VERSION, source, settings, now: NOW })
}

/** States alike in this have the same transitions; times, messages and figures are left out. */
function keyOf({ phase, steps, outputs, cancellation }: Run): string {
  const statuses = steps.map(({ name, status }) => `${name} ${status}`)
  return JSON.stringify([phase, statuses, outputs, cancellation !== null])
}

function* successors(run: Run): Generator<Run> {
  // its turn, and a pipeline.yaml that cannot be read
  if (run.phase === 'Queued') yield* [{ ...run, phase: 'Running' as const }, breakOff(run, 'nonsense', NOW)]
  if (run.phase === 'Running') yield breakOff(run, 'refused', NOW)
  if (run.phase === 'Queued' || run.phase === 'Running')
    yield cancel(run, { by: 'grace', reason: 'not now', at: NOW })
  for (const seen of observations()) {
    const next = nextRun(run, seen)
    yield next
    yield* outcomesOf(next, seen)
  }
  if (stepOf(run, 'approval')?.status === 'running' && run.outputs.approval === null)
    for (const approved of [true, false])
      yield withOutput(run, { approval: { by: 'grace', reason: null, at: NOW, approved } })
}

/** What was begun, with its name in the run. */
function* outcomesOf(run: Run, seen: PipelineSeen): Generator<Run> {
  const effect = effectOf(run, seen)
  if (effect.kind === 'deploy')
    yield withOutput(run, effect.to === 'staging' ? { stagingRevision: 7 } : { canaryRevision: 7 })
  if (effect.kind === 'start-rollout') yield withOutput(run, { rollout: 'food11-v2' })
}

function withOutput(run: Run, outputs: Partial<Outputs>): Run {
  return { ...run, outputs: { ...run.outputs, ...outputs } }
}

const IDLE: DeployedSeen = {
  current: null,
  stage: null,
  failure: null,
  gate: null,
  busy: false,
  reverted: false,
}
const RUNS: DeployedSeen = { ...IDLE, current: { ...VERSION, revision: 7 } }
const OTHER: DeployedSeen = { ...IDLE, current: { version: '1', digest: 'sha256:one', revision: 6 } }
const DEPLOYMENTS: readonly DeployedSeen[] = [
  IDLE,
  RUNS,
  OTHER,
  ...(['starting', 'switching', 'aliasing', 'returning'] as const).map(stage => ({
    ...OTHER,
    stage,
    busy: true,
  })),
  { ...OTHER, failure: 'it died', gate: result('fail'), busy: true },
  { ...OTHER, failure: 'it died', gate: result('fail') },
  { ...OTHER, failure: 'nobody answered' },
  { ...OTHER, failure: 'it died', gate: result('fail'), reverted: true },
]

/** From a look at which nothing has come yet, and one at which all goes well, one thing after the other is seen differently. */
function* observations(): Generator<PipelineSeen> {
  const nothing: PipelineSeen = {
    now: NOW,
    packaged: null,
    staging: IDLE,
    canary: IDLE,
    production: OTHER,
    gates: null,
    rollout: null,
    users: null,
  }
  const well: PipelineSeen = {
    ...nothing,
    packaged: { kind: 'there', message: 'there' },
    staging: RUNS,
    canary: RUNS,
    gates: { results: [], complete: true },
  }
  for (const look of [nothing, well]) for (const difference of DIFFERENCES) yield { ...look, ...difference }
}

function result(verdict: 'pass' | 'fail' | 'error') {
  const at = new Date(NOW).toISOString()
  return { gate: 'load', verdict, reason: 'p95', evidence: null, startedAt: at, endedAt: at }
}

const DIFFERENCES: readonly Partial<PipelineSeen>[] = [
  {},
  ...(['there', 'wrong', 'away'] as const).map(kind => ({ packaged: { kind, message: 'because' } })),
  ...DEPLOYMENTS.flatMap(seen => [{ staging: seen }, { canary: seen }, { staging: seen, canary: seen }]),
  { production: RUNS },
  { production: RUNS, users: { answer: VERSION, alias: null } },
  { production: RUNS, users: { answer: VERSION, alias: VERSION.version } },
  { users: { answer: { version: '1', digest: 'sha256:one' }, alias: '1' } },
  { production: IDLE },
  ...(['pass', 'fail', 'error'] as const).map(verdict => ({
    gates: { results: [result(verdict)], complete: true },
  })),
  { gates: { results: [], complete: false } },
  ...PHASES.flatMap(phase =>
    [null, 'approval'].flatMap(cause => {
      const rollout = { phase, cause, message: 'e 123', awaitsPerson: cause === 'approval' }
      const left = DEPLOYMENTS.at(-1) ?? IDLE
      const users = { answer: VERSION, alias: VERSION.version }
      return [{ rollout }, { rollout, production: RUNS, users }, { rollout, staging: left, canary: left }]
    }),
  ),
]
