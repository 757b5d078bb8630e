import type {
  EnvironmentName,
  EnvironmentSettings,
  EnvironmentView,
  GatesRun,
} from '../../contract/environment.ts'
import type { Place } from './environment-routes.ts'
import type { EnvironmentSeen } from './environment-seen.ts'
import { isGood, type EnvironmentState, type HistoryEntry } from './environment-state.ts'
import type { StoredEnvironment } from './environment-store.ts'

interface ViewOptions {
  readonly place: Place
  /** Newest first. */
  readonly history: readonly HistoryEntry[]
  /** What answered at the last look; undefined before the first. */
  readonly answer: EnvironmentSeen['answer'] | undefined
  readonly gatesUnderWay: GatesRun | undefined
  readonly settings: EnvironmentSettings[EnvironmentName]
}

/** An environment as the API shows it. Times are ISO 8601 (UTC). */
export function environmentView(
  { state, version }: StoredEnvironment,
  { place, history, answer, gatesUnderWay, settings }: ViewOptions,
): EnvironmentView {
  const { current, work } = state
  const entry = history.find(({ revision }) => revision === current?.revision)
  return {
    name: state.name,
    route: place.route,
    url: place.url,
    model: state.model,
    current: current && {
      version: current.version,
      digest: current.digest,
      revision: current.revision,
      good: isGood(entry),
      instances: current.endpoints.length,
    },
    settings: { instances: settings.instances ?? null, memoryLimitMiB: settings.memoryLimitMiB ?? null },
    health: healthOf(state, answer),
    message: state.held ?? state.message,
    deploying:
      work?.kind === 'deploy'
        ? { version: work.target.version, revision: work.revision, how: work.how, stage: work.stage }
        : null,
    pendingReturn: state.pendingReturn && {
      version: state.pendingReturn.version,
      tries: state.pendingReturn.tries,
      nextAt: state.pendingReturn.nextAt === null ? null : inWords(state.pendingReturn.nextAt),
    },
    gates: gatesUnderWay ?? entry?.gates ?? null,
    warm: state.warm.map(({ version, digest, until }) => ({ version, digest, until: inWords(until) })),
    history: history.map(({ at, verifiedAt, goodAt, ...told }) => ({
      revision: told.revision,
      version: told.version,
      digest: told.digest,
      how: told.how,
      actor: told.actor,
      reason: told.reason,
      at: inWords(at),
      verifiedAt: verifiedAt === null ? null : inWords(verifiedAt),
      goodAt: goodAt === null ? null : inWords(goodAt),
      failure: told.failure,
    })),
    version,
  }
}

/** Healthy is what answers at the environment's own route with exactly the digest that it is to run. */
function healthOf({ current }: EnvironmentState, answer: ViewOptions['answer']): EnvironmentView['health'] {
  if (current === null) return 'stopped'
  if (answer === undefined) return 'unknown'
  return answer?.digest === current.digest ? 'healthy' : 'unhealthy'
}

function inWords(ms: number): string {
  return new Date(ms).toISOString()
}
