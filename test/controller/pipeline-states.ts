import type { GateResult } from '../../contract/gate.ts'
import { pipelineSettings } from '../../contract/pipeline.ts'
import { nextRun, type DeployedSeen, type PipelineSeen } from '../../controller/lifecycle/pipeline-machine.ts'
import { newRun, type Run } from '../../controller/lifecycle/pipeline-run.ts'

export const NOW = 1_750_000_000_000
export const IDLE: DeployedSeen = {
  current: null,
  stage: null,
  failure: null,
  gate: null,
  busy: false,
  reverted: false,
}
export const NOTHING: PipelineSeen = {
  now: NOW,
  packaged: null,
  staging: IDLE,
  canary: IDLE,
  production: { ...IDLE, current: { version: '1', digest: 'sha256:one', revision: 1 } },
  gates: null,
  rollout: null,
  users: null,
}
export const VERSION = { version: '2', digest: 'sha256:two' }
export const RUNS: DeployedSeen = { ...IDLE, current: { ...VERSION, revision: 7 } }

export function runOf(source: object = {}): Run {
  const settings = pipelineSettings.parse(source)
  const given = { id: 'food11-v2', model: 'food11', trigger: 'manual' as const, startedBy: 'ada' }
  return { ...newRun({ ...given, ...VERSION, source, settings, now: NOW }), phase: 'Running' }
}

export function withOutputs(run: Run, outputs: Partial<Run['outputs']>): Run {
  return { ...run, outputs: { ...run.outputs, ...outputs } }
}

export function statuses(run: Run): string {
  return run.steps.map(({ name, status }) => `${name} ${status}`).join(', ')
}

export function result(gate: string, verdict: GateResult['verdict']): GateResult {
  const at = new Date(NOW).toISOString()
  return { gate, verdict, reason: 'p95 was 2400 ms', evidence: null, startedAt: at, endedAt: at }
}

/** As far as the gates. */
export function atGates(source: object = {}): Run {
  const packaged = nextRun(nextRun(runOf(source), NOTHING), {
    ...NOTHING,
    packaged: { kind: 'there', message: 'there' },
  })
  return nextRun(withOutputs(packaged, { stagingRevision: 7 }), { ...NOTHING, staging: RUNS })
}

/** With the version in canary, and its rollout begun. */
export function atRollout(source: object = {}): Run {
  const gates = { results: [result('load', 'pass')], complete: true }
  const passed = nextRun(atGates(source), { ...NOTHING, staging: RUNS, gates })
  const deployed = nextRun(withOutputs(passed, { canaryRevision: 7 }), {
    ...NOTHING,
    staging: RUNS,
    canary: RUNS,
  })
  return withOutputs(deployed, { rollout: 'food11-v2' })
}

export const DEPLOYED = { ...NOTHING, staging: RUNS, canary: RUNS }
export const rolloutAt = (
  phase: 'Progressing' | 'Paused' | 'Promoted' | 'RolledBack' | 'Superseded' | 'RollingBack',
  cause: string | null = null,
) => {
  const awaitsPerson = cause === 'approval'
  return { ...DEPLOYED, rollout: { phase, cause, message: 'e 123', awaitsPerson } }
}
/** Exactly the version answers there, and has the alias. */
export const IN_PRODUCTION = { production: RUNS, users: { answer: VERSION, alias: VERSION.version } }
