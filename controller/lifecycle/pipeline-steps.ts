import type { StepName } from '../../contract/pipeline.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import type { DeployedSeen, PipelineSeen } from './pipeline-machine.ts'
import type { Run, StepStatus } from './pipeline-run.ts'

// What each step that is under way has come to, as far as that can be told from what was seen. Pure.

export interface Conclusion {
  readonly status: StepStatus
  readonly message: string
  readonly evidence?: unknown
}

export function conclusionOf(run: Run, name: StepName, seen: PipelineSeen): Conclusion {
  switch (name) {
    case 'package':
      return packaged(seen)
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

function packaged({ packaged: seen }: PipelineSeen): Conclusion {
  if (seen === null) return running('the files are being fetched')
  switch (seen.kind) {
    case 'there':
      return { status: 'passed', message: seen.message }
    case 'wrong':
      return { status: 'error', message: seen.message }
    case 'away':
      return running(`tried again: ${seen.message}`)
  }
}

/** The three steps into an environment follow one deployment: it gets ready, answers at its own route, and has the alias. */
function deployment(
  run: Run,
  name: StepName,
  seen: DeployedSeen & { readonly revision: number | null },
): Conclusion {
  const { revision, current, stage } = seen
  const { version, digest } = run
  if (revision === null) return waiting(run, `the deployment of version ${version} is about to begin`)
  const given = givenUp(seen)
  if (given !== undefined) return given
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

/** Without a gate that it failed, such as in an outage or when a person ends it, it is nothing that the version did. */
function givenUp({ failure, gate }: DeployedSeen): Conclusion | undefined {
  if (failure === null) return undefined
  if (gate === null) return { status: 'error', message: failure }
  return { status: 'failed', message: failure, evidence: [gate] }
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
  const given = givenUp(staging)
  if (given !== undefined) return given
  const names = results.map(({ gate }) => gate).join(', ')
  return { status: 'passed', message: names === '' ? 'no gate is asked for' : `passed: ${names}`, evidence }
}

function rollout(run: Run, { rollout: seen, canary, production: env }: PipelineSeen): Conclusion {
  const { rollout: name } = run.outputs
  if (name === null && env.current?.digest === run.digest) return ALREADY_THERE
  const given = name === null ? givenUp(canary) : undefined
  if (given !== undefined) return given
  if (name === null || seen === null) return waiting(run, 'the rollout is about to begin')
  const evidence = { rollout: name, phase: seen.phase, cause: seen.cause }
  if (seen.awaitsPerson)
    return { status: 'passed', message: 'it went as far as it goes without a person', evidence }
  if (seen.phase === 'Promoting' || seen.phase === 'Promoted')
    return { status: 'passed', message: seen.message, evidence }
  return notOver(seen, evidence)
}

/** A person brought it there meanwhile. */
const ALREADY_THERE: Conclusion = { status: 'skipped', message: 'production runs this digest already' }

function notOver(seen: NonNullable<PipelineSeen['rollout']>, evidence: unknown): Conclusion {
  if (!TERMINAL_PHASES.has(seen.phase) || seen.phase === 'Promoted')
    return { ...running(`${seen.phase}: ${seen.message}`), evidence }
  // something newer took its place, which says nothing against this version
  const status = seen.phase === 'Superseded' ? 'error' : 'failed'
  return { status, message: `the rollout ended ${seen.phase}: ${seen.message}`, evidence }
}

function approval(run: Run, { rollout: seen, production: env }: PipelineSeen): Conclusion {
  const { approval: given, rollout: name } = run.outputs
  if (given !== null) {
    const { by, approved, reason } = given
    const message = `${approved ? 'approved' : 'rejected'} by ${by}${reason === null ? '' : `: ${reason}`}`
    return { status: approved ? 'passed' : 'failed', message, evidence: given }
  }
  if (name === null && env.current?.digest === run.digest) return ALREADY_THERE
  if (name === null || seen === null || seen.awaitsPerson)
    return running(`waiting for a person: weir pipeline approve ${run.id} --as NAME`)
  // the rollout's own verb does as well, by whoever may approve; who it was is in the rollout's audit
  if (seen.phase === 'Promoting' || seen.phase === 'Promoted')
    return { status: 'passed', message: `approved at the rollout ${name}`, evidence: { rollout: name } }
  return notOver(seen, null)
}

function production(
  run: Run,
  name: StepName,
  { production: env, rollout: seen, users }: PipelineSeen,
): Conclusion {
  const { version, digest } = run
  if (seen !== null && seen.phase !== 'Promoted') return notOver(seen, null)
  const runs = env.current?.digest === digest
  const answer = users?.answer ?? null
  if (!runs && !env.busy && answer !== null && answer.digest !== digest)
    return {
      status: 'error',
      message: `production answers as version ${answer.version} by now: it was led there`,
    }
  if (!runs || answer?.digest !== digest) return waiting(run, `waiting for exactly ${digest} in production`)
  const evidence = { revision: env.current?.revision, digest }
  if (name === 'production') return { status: 'passed', message: `exactly ${digest} answers`, evidence }
  return users?.alias === version
    ? { status: 'passed', message: `the alias production leads to version ${version}`, evidence }
    : waiting(run, users?.alias === undefined ? 'the registry does not answer' : 'the alias is moving')
}

function running(message: string): Conclusion {
  return { status: 'running', message }
}

/** Says why it was refused where it was. */
function waiting({ waitsFor }: Run, otherwise: string): Conclusion {
  return running(waitsFor === null ? otherwise : `tried again: ${waitsFor}`)
}
