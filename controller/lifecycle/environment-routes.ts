import type { PolicyView } from '../../client/gateway.ts'
import type { EnvironmentName, EnvironmentPlaces } from '../../contract/environment.ts'
import type { RoutePolicy } from '../../contract/policy.ts'
import { saysAll } from '../recorded-gateway.ts'
import type { EnvironmentState } from './environment-state.ts'

// Which routes of the gateway lead to an environment, and what they are to say. Production is the public route's stable,
// canary its candidate; staging and canary have a route with a listener of their own, so that they can be asked by themselves.

export interface Place {
  readonly name: EnvironmentName
  /** The environment's own route. */
  readonly route: string
  /** Which variant of that route it is. */
  readonly variant: string
  readonly port: number
  readonly url: string
}

export function placeOf(name: EnvironmentName, { route, ports }: EnvironmentPlaces, host: string): Place {
  const port = ports[name]
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  if (name === 'production') return { name, route, variant: 'stable', port, url }
  return { name, route: `${route}-${name}`, variant: name, port, url }
}

export interface RoutePatch {
  readonly route: string
  readonly patch: Readonly<Record<string, unknown>>
}

/** A route is changed only while a deployment is under way; otherwise others may change it, and are followed. */
export function wantedRoutes(
  { current, work }: EnvironmentState,
  place: Place,
  publicPolicy: RoutePolicy,
): readonly RoutePatch[] {
  if (work === null || (work.kind === 'deploy' && work.stage === 'starting')) return []
  const forward = work.kind === 'deploy' && work.stage !== 'returning'
  const follows = work.kind === 'deploy' && work.how === 'follow' && forward
  if (follows && place.name === 'production') return [] // it leads there already, with weights that others chose
  const endpoints = forward ? work.target.endpoints : work.kind === 'close' ? [] : (current?.endpoints ?? [])
  if (place.name === 'production') return [productionPatch(publicPolicy, endpoints)]
  const own = { route: place.route, patch: ownPatch(place, endpoints) }
  if (place.name === 'staging' || follows) return [own]
  const candidate = work.kind === 'deploy' && !forward ? work.candidateBefore : endpoints
  return candidate === null ? [own] : [own, candidatePatch(publicPolicy, candidate)]
}

/** Whether every route says what is wanted of it. */
export function routesSay(policies: ReadonlyMap<string, PolicyView>, wanted: readonly RoutePatch[]): boolean {
  return wanted.every(({ route, patch }) => {
    const view = policies.get(route)
    return view !== undefined && saysAll(view.policy, patch)
  })
}

/** The environment's own route as it begins: with the limits of the public one, and nothing that decides between variants. */
export function firstPolicy(place: Place, publicPolicy: RoutePolicy, endpoints: readonly string[]): object {
  const limits = Object.entries(publicPolicy).filter(([setting]) => !OF_VARIANTS.has(setting))
  return {
    ...Object.fromEntries(limits),
    name: place.route,
    match: { port: place.port },
    ...ownPatch(place, endpoints),
  }
}

/** Settings that say which requests a route takes and how it deals them. */
const OF_VARIANTS: ReadonlySet<string> = new Set([
  'match',
  'variants',
  'weights',
  'sticky',
  'headerRoutes',
  'mirror',
  'fallback',
  'hedge',
  'notice',
])

function ownPatch({ variant }: Place, endpoints: readonly string[]) {
  return {
    variants: { [variant]: { endpoints } },
    weights: { [variant]: endpoints.length === 0 ? 0 : 100 },
  }
}

/** One atomic switch; what was stable stays reachable as the candidate where the two change places. */
function productionPatch({ name, variants }: RoutePolicy, endpoints: readonly string[]): RoutePatch {
  const stable = variants['stable']?.endpoints ?? []
  const changesPlaces =
    endpoints.length > 0 && sameEndpoints(variants['candidate']?.endpoints ?? [], endpoints)
  const candidate =
    changesPlaces && !sameEndpoints(stable, endpoints) ? { candidate: { endpoints: stable } } : {}
  return {
    route: name,
    patch: {
      variants: { stable: { endpoints }, ...candidate },
      weights: weightsOf(variants, endpoints.length === 0 ? 0 : 100),
    },
  }
}

function candidatePatch({ name, variants }: RoutePolicy, endpoints: readonly string[]): RoutePatch {
  const stable = variants['stable']?.endpoints ?? []
  return {
    route: name,
    patch: {
      variants: { candidate: { endpoints } },
      weights: weightsOf({ ...variants, candidate: {} }, stable.length === 0 ? 0 : 100),
    },
  }
}

function weightsOf(variants: object, stable: number): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.keys(variants).map(name => [name, name === 'stable' ? stable : 0]))
}

export function sameEndpoints(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((endpoint, index) => endpoint === b[index])
}
