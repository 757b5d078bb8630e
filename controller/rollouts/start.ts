import { createServingClient } from '../../client/serving.ts'
import type { GatewayClient } from '../../client/gateway.ts'
import { WeirError } from '../../contract/errors.ts'
import { rolloutFile, type RolloutFile } from '../../contract/rollout.ts'
import { describeIssues } from '../../lib/parse.ts'
import { describeProblem } from '../../lib/problem.ts'
import { parseCondition } from '../judge/condition.ts'
import type { ModelVersion, VersionLookup } from '../registry/registry.ts'
import { versionFailed } from '../registry/version-failed.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { leftOverOf } from './arms-policy.ts'
import { firstExperiment } from './experiment-start.ts'
import { LATER_FIELDS, type Placement, type Recreation, type RolloutState } from './rollout-state.ts'
import { firstReplicas, enlargedBy } from './start-replicas.ts'
import { headerRouteOff, mirrorOff } from './transitions.ts'

interface StartOptions {
  readonly gateway: GatewayClient
  readonly registry: VersionLookup
  readonly runtime: Runtime
  readonly now: number
  /** The rollout that makes room for this one. */
  readonly superseded: RolloutState | undefined
}

/** Parses a rollout as somebody wrote it; throws `invalid_setting`, naming what is wrong. */
export function parseRollout(source: unknown): RolloutFile {
  const parsed = rolloutFile.safeParse(source)
  if (parsed.success) return parsed.data
  throw new WeirError('invalid_setting', describeIssues(parsed.error))
}

/** Metrics that could only ever be errors are refused before anything starts. */
export function refuseMetrics({ spec: { analysis } }: RolloutFile, hasPrometheus: boolean): void {
  if (analysis.metrics.length > 0 && !hasPrometheus) {
    throw new WeirError(
      'invalid_setting',
      'spec.analysis.metrics needs a Prometheus server: start the controller with PROMETHEUS_URL',
    )
  }
  for (const [index, { successCondition, failureCondition }] of analysis.metrics.entries()) {
    for (const [setting, text] of Object.entries({ successCondition, failureCondition }))
      if (text !== undefined) readCondition(`spec.analysis.metrics.${index}.${setting}`, text)
  }
}

function readCondition(setting: string, text: string): void {
  try {
    parseCondition(text)
  } catch (cause) {
    throw new WeirError('invalid_setting', `${setting}: ${describeProblem(cause)}`, { cause })
  }
}

/**
 * The first state of a rollout: which version answers now, which is to, and where the candidate runs. Throws what an operator
 * can mend: an unknown route or version, a stable variant that does not say what it is, a version that is stable already.
 */
export async function firstState(
  name: string,
  file: RolloutFile,
  options: StartOptions,
): Promise<RolloutState> {
  const { gateway, registry, runtime, now, superseded } = options
  const { route, modelVersion, drill, analysis } = file.spec
  const { policy } = await gateway.route(route)
  const stableEndpoints = endpointsOf(policy.variants, 'stable', route)
  const candidateEndpoints =
    superseded?.previousCandidateEndpoints ?? endpointsOf(policy.variants, 'candidate', route)
  const routesByHeader = file.spec.strategy.canary?.steps.some(step => 'headerRoute' in step)
  if (routesByHeader && superseded === undefined && policy.headerRoutes.length > 0)
    throw new WeirError(
      'conflict',
      `route ${route} has headerRoutes already, which a headerRoute step would replace`,
    )
  const stable = await whatIsStable(stableEndpoints, file.spec)
  const version = await registry.get(stable.model, modelVersion)
  if (version.failed !== null) throw versionFailed(version)
  if (stable.digest === version.digest && drill === undefined) {
    throw new WeirError(
      'conflict',
      `version ${modelVersion} is stable on ${route} already; a rehearsal needs a drill`,
    )
  }
  const experiment = await firstExperiment(file, {
    name,
    registry,
    policy,
    stable,
    candidate: version,
    superseded,
  })
  const reused =
    drill === undefined && file.spec.strategy.recreate === undefined
      ? reusable(runtime, candidateEndpoints, version)
      : undefined
  return {
    model: stable.model,
    phase: 'Pending',
    cause: null,
    message: `starting version ${modelVersion}`,
    step: 0,
    stepSince: null,
    weightBp: 0,
    mirrorPercent: superseded === undefined ? null : mirrorOff(superseded),
    settleSeconds: (analysis.settle ?? policy.timeoutMs + analysis.interval) / 1000,
    requestsBeforeStep: 0,
    stable: { version: stable.version, digest: stable.digest, endpoints: stableEndpoints },
    candidate: { version: modelVersion, digest: version.digest, endpoints: [] },
    deployment: reused === undefined ? { id: `${name}.candidate`, own: true } : { id: reused, own: false },
    previousCandidateEndpoints: candidateEndpoints,
    policyVersion: null,
    startedAt: now,
    deadlineFrom: now,
    endedAt: null,
    withdrawnAt: null,
    lastDecision: null,
    ...LATER_FIELDS,
    recreation:
      file.spec.strategy.recreate && stableEndpoints.length > 0
        ? recreationOf(runtime, stableEndpoints, route)
        : null,
    headerRoute: superseded === undefined ? null : headerRouteOff(superseded),
    replicas: await firstReplicas({
      name,
      spec: file.spec,
      stable,
      reused: reused === undefined ? [] : candidateEndpoints,
      variants: policy.variants,
      superseded,
      runtime,
      registry,
    }),
    experiment,
    leftOver: superseded === undefined ? null : leftOverOf(superseded),
    enlarged: enlargedBy(superseded, reused),
  }
}

/** Only what the controller runs can it stop, and start again. */
function recreationOf(runtime: Runtime, endpoints: readonly string[], route: string): Recreation {
  const [endpoint] = endpoints
  const running = endpoint === undefined || endpoints.length > 1 ? undefined : runtime.at(endpoint)
  if (running === undefined)
    throw new WeirError(
      'conflict',
      `recreate needs stable of route ${route} to be one process of this controller`,
    )
  return { stableId: running.id, notice: null, stage: 'old', closedAt: null, openedAt: null }
}

function endpointsOf(
  variants: Readonly<Record<string, { endpoints: readonly string[] }>>,
  variant: string,
  route: string,
) {
  const endpoints = variants[variant]?.endpoints
  if (endpoints) return [...endpoints]
  throw new WeirError(
    'conflict',
    `route ${route} has no variant "${variant}"; a canary needs stable and candidate`,
  )
}

async function whatIsStable(
  endpoints: readonly string[],
  { route, model }: RolloutFile['spec'],
): Promise<Placement & { model: string }> {
  if (endpoints.length > 0) {
    const stable = await whatAnswers(endpoints, route)
    if (model === undefined || model === stable.model) return stable
    throw new WeirError(
      'invalid_setting',
      `spec.model: stable of route ${route} is ${stable.model}, not ${model}`,
    )
  }
  if (model !== undefined) return { model, version: 'none', digest: 'none', endpoints }
  throw new WeirError(
    'invalid_setting',
    `spec.model: route ${route} has no version yet, so it must be said which model this is`,
  )
}

/** Asks the stable endpoints themselves: what the gateway was once told may not be what answers. */
async function whatAnswers(
  endpoints: readonly string[],
  route: string,
): Promise<Placement & { model: string }> {
  const answers = await Promise.all(endpoints.map(baseUrl => createServingClient({ baseUrl }).version()))
  const [first] = answers
  if (first === undefined)
    throw new WeirError('conflict', `stable of route ${route} does not say its version and digest`)
  if (answers.some(answer => answer.digest !== first.digest)) {
    throw new WeirError('conflict', `the endpoints of stable on ${route} answer with different versions`)
  }
  return { model: first.model, version: first.model_version, digest: first.digest, endpoints }
}

/** A candidate that runs the wanted version already, undisturbed by a drill, is taken as it is. */
function reusable(runtime: Runtime, endpoints: readonly string[], wanted: ModelVersion): string | undefined {
  const [endpoint] = endpoints
  const running = endpoint === undefined ? undefined : runtime.at(endpoint)
  if (!running || !endpoints.every(one => running.endpoints.includes(one))) return undefined
  const same = running?.model === wanted.model && running.version === wanted.version && !running.drilled
  return same ? running.id : undefined
}
