import type { EnvironmentView } from '../../contract/environment.ts'
import type { GateResult } from '../../contract/gate.ts'
import { table } from './table.ts'

const SHOWN_ENTRIES = 5
/** Enough of a digest to tell versions apart. */
const DIGEST_CHARS = 19

/** All environments as a table, and what ran in each of late. */
export function describeEnvironments(environments: readonly EnvironmentView[]): string {
  const rows = environments.map(({ name, model, current, settings, health, url, message }) => [
    name,
    current === null ? '–' : `${model} ${current.version}`,
    current === null ? '–' : current.digest.slice(0, DIGEST_CHARS),
    current === null ? '–' : String(current.instances),
    settings.memoryLimitMiB === null ? '–' : `${settings.memoryLimitMiB} MiB`,
    health,
    url,
    message,
  ])
  const histories = environments.filter(({ history }) => history.length > 0).map(historyOf)
  return [
    table(['ENVIRONMENT', 'VERSION', 'DIGEST', 'INSTANCES', 'MEMORY LIMIT', 'HEALTH', 'URL', 'STATE'], rows),
    ...histories,
  ].join('\n\n')
}

export function environmentLine({ name, model, current, message }: EnvironmentView): string {
  const runs = current === null ? 'stopped' : `${model} version ${current.version}`
  return `${name}: ${runs} (${message})`
}

export function gateLine({ gate, verdict, reason }: GateResult): string {
  return `${verdict.padEnd(5)} ${gate}: ${reason}`
}

export function gatesLine({ name, model, current, gates }: EnvironmentView): string {
  const version = current === null ? 'no version' : `${model} version ${current.version}`
  const verdict = { pass: 'passed', fail: 'failed', error: 'came to nothing' }[gates?.verdict ?? 'error']
  return `${name}: the gates of ${version} ${gates?.endedAt === null ? 'are under way' : verdict}`
}

function historyOf({ name, history, current, warm }: EnvironmentView): string {
  const rows = history
    .slice(0, SHOWN_ENTRIES)
    .map(({ at, version, how, actor, verifiedAt, goodAt, failure, reason, digest, revision }) => [
      at,
      version,
      how,
      actor,
      [
        failure !== null ? 'failed' : goodAt !== null ? 'good' : verifiedAt !== null ? 'verified' : 'begun',
        ...(current?.revision === revision ? ['current'] : []),
        ...(warm.some(kept => kept.digest === digest) ? ['warm'] : []),
      ].join(', '),
      failure ?? reason,
    ])
  return `${name}\n${table(['AT', 'VERSION', 'HOW', 'BY', 'SEEN', 'WHY'], rows)}`
}
