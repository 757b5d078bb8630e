import type { GatewayClient } from '../../client/gateway.ts'
import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { Runtime } from './runtime.ts'

interface SeedOptions {
  readonly gateway: GatewayClient
  readonly registry: VersionLookup
  /** The MLflow server that versions are kept on; undefined: the models folder. */
  readonly where: string | undefined
  readonly runtime: Runtime
  readonly clock: Clock
  readonly log: Log
}

const RETRY_MS = 200

/**
 * Runs versions behind the endpoints that a route's policy names and that nothing was deployed to: ROUTE=MODEL:STABLE,CANDIDATE.
 * Safe to repeat after a start that was killed half-way. Both versions are looked up before either is started.
 * The gateway starts beside this process, so its first answers may be a moment away.
 */
export async function seedRoute(seed: string, options: SeedOptions): Promise<void> {
  const { registry, runtime, log } = options
  const { route, model, versions } = parseSeed(seed)
  const wanted = Object.entries(versions)
  const found = await Promise.all(wanted.map(([, version]) => registry.get(model, version))).catch(error =>
    missing(error, options),
  )
  const { policy } = await routeOnceUp(route, options)
  for (const [index, [variant]] of wanted.entries()) {
    const endpoints = policy.variants[variant]?.endpoints ?? []
    const version = found[index]
    if (version === undefined || endpoints.every(endpoint => runtime.at(endpoint))) continue
    const ports = endpoints.map(endpoint => Number(new URL(endpoint).port))
    await runtime.deploy({ id: `${model}-v${version.version}`, version, instances: ports.length, ports })
    log.info({ route, variant, version: version.version, endpoints }, 'deployed')
  }
}

/** Nothing registers versions by itself on a server that others use, too. */
function missing(error: unknown, { where }: SeedOptions): never {
  const isMissing =
    error instanceof WeirError && (error.code === 'model_not_found' || error.code === 'version_not_found')
  if (!isMissing || where === undefined) throw error
  const message = `the MLflow server at ${where} has not what Weir is to begin with: register it first (docs/lifecycle.md says how), or name versions that it has with --stable and --candidate`
  throw new WeirError(error.code, message, { cause: error })
}

function parseSeed(seed: string) {
  const match = /^([^=]+)=([^:]+):([^,]+),([^,]+)$/.exec(seed)
  if (!match) throw new WeirError('invalid_setting', `--seed must look like food11=food11:1,2, not "${seed}"`)
  const [, route = '', model = '', stable = '', candidate = ''] = match
  return { route, model, versions: { stable, candidate } }
}

async function routeOnceUp(route: string, { gateway, clock }: SeedOptions) {
  for (let attempt = 0; attempt < 50; attempt++) {
    try {
      return await gateway.route(route)
    } catch (error) {
      if (error instanceof WeirError && error.statusCode < 500) throw error
      await clock.sleep(RETRY_MS)
    }
  }
  return gateway.route(route)
}
