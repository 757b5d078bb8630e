import type { GatewayClient } from '../../client/gateway.ts'
import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Registry } from '../registry/registry.ts'
import type { Runtime } from './runtime.ts'

interface SeedOptions {
  readonly gateway: GatewayClient
  readonly registry: Registry
  readonly runtime: Runtime
  readonly clock: Clock
  readonly log: Log
}

const RETRY_MS = 200

/**
 * Runs versions behind the endpoints that a route's policy names, when nothing was ever deployed here: ROUTE=MODEL:STABLE,CANDIDATE.
 * The gateway starts beside this process, so its first answers may be a moment away.
 */
export async function seedRoute(seed: string, options: SeedOptions): Promise<void> {
  const { registry, runtime, log } = options
  if (runtime.list().length > 0) return
  const { route, model, versions } = parseSeed(seed)
  const { policy } = await routeOnceUp(route, options)
  for (const [variant, version] of Object.entries(versions)) {
    const [endpoint] = policy.variants[variant]?.endpoints ?? []
    if (endpoint === undefined)
      throw new WeirError('conflict', `route ${route} has no endpoint for ${variant}`)
    const port = Number(new URL(endpoint).port)
    await runtime.deploy({ id: `${model}-v${version}`, version: await registry.get(model, version), port })
    log.info({ route, variant, version, endpoint }, 'deployed')
  }
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
