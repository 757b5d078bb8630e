import type { Readiness } from '../messages.ts'
import type { EndpointView } from './endpoints.ts'

export interface ReadinessFacts {
  readonly draining: boolean
  readonly workersReady: number
  readonly endpoints: readonly EndpointView[]
  /** It was ready before: from then on one healthy endpoint a route is enough. */
  readonly onceReady: boolean
}

/** Whether requests can be served, and why not: at first every endpoint must have been healthy once. */
export function decideReadiness({ draining, workersReady, endpoints, onceReady }: ReadinessFacts): Readiness {
  const reasons: string[] = []
  if (draining) reasons.push('draining')
  if (workersReady === 0) reasons.push('no worker is up yet')
  reasons.push(...(onceReady ? routesWithoutEndpoint(endpoints) : neverHealthy(endpoints)))
  return { ready: reasons.length === 0, reasons }
}

const MAX_REASONS = 20

function neverHealthy(endpoints: readonly EndpointView[]): string[] {
  return endpoints
    .filter(({ everHealthy }) => !everHealthy)
    .slice(0, MAX_REASONS)
    .map(({ route, variant, endpoint }) => `${endpoint} (${variant} of ${route}) has not been healthy yet`)
}

function routesWithoutEndpoint(endpoints: readonly EndpointView[]): string[] {
  const served = new Set(endpoints.filter(({ state }) => state !== 'out').map(({ route }) => route))
  const named = new Set(endpoints.map(({ route }) => route))
  return [...named]
    .filter(route => !served.has(route))
    .slice(0, MAX_REASONS)
    .map(route => `route ${route} has no healthy endpoint`)
}
