import type { PolicyView } from '../../client/gateway.ts'
import type { EnvironmentName, EnvironmentPlaces } from '../../contract/environment.ts'
import type { RoutePolicy } from '../../contract/policy.ts'
import { saysAll } from '../recorded-gateway.ts'
import type { PublicRoute } from './environment-seen.ts'
import { wasSwitched, type Deploying, type EnvironmentState } from './environment-state.ts'

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
  state: EnvironmentState,
  place: Place,
  publicPolicy: RoutePolicy,
): readonly RoutePatch[] {
  const { work } = state
  if (work === null) return []
  if (work.kind === 'close') return routesTo([], place, publicPolicy)
  switch (work.stage) {
    case 'starting':
      return []
    case 'switching':
    case 'aliasing': {
      const { endpoints } = work.target
      if (work.how !== 'follow') return routesTo(endpoints, place, publicPolicy)
      // the public route leads there already, with weights that others chose
      return place.name === 'production' ? [] : [ownRoute(place, endpoints)]
    }
    case 'returning':
      return routesBack(state, work, { place, publicPolicy })
  }
}

function routesTo(
  endpoints: readonly string[],
  place: Place,
  publicPolicy: RoutePolicy,
): readonly RoutePatch[] {
  if (place.name === 'production') return [productionPatch(publicPolicy, endpoints)]
  const own = ownRoute(place, endpoints)
  return place.name === 'staging' ? [own] : [own, candidatePatch(publicPolicy, endpoints)]
}

/** Only what was switched is led back, and to what was there before, whoever had led it there. */
function routesBack(
  { current }: EnvironmentState,
  work: Deploying,
  { place, publicPolicy }: { readonly place: Place; readonly publicPolicy: RoutePolicy },
): readonly RoutePatch[] {
  if (!wasSwitched(work)) return []
  const { how, candidateBefore, stableBefore } = work
  const endpoints = current?.endpoints ?? []
  if (place.name === 'production') {
    const { endpoints: stable, weights } = stableBefore ?? { endpoints, weights: undefined }
    return [productionPatch(publicPolicy, stable, weights)]
  }
  const own = ownRoute(place, endpoints)
  const alone = place.name === 'staging' || how === 'follow' || candidateBefore === null
  return alone ? [own] : [own, candidatePatch(publicPolicy, candidateBefore)]
}

/** Whether the public route still leads where it was followed to; what is not known is no reason to think otherwise. */
export function leadsThere(
  name: EnvironmentName,
  publicRoute: PublicRoute | null,
  endpoints: readonly string[],
): boolean {
  if (publicRoute === null) return true
  const { stable, candidate } = publicRoute
  const places = name === 'production' ? [stable.endpoints] : [candidate, stable.endpoints]
  return places.some(place => sameEndpoints(place, endpoints))
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

function ownRoute(place: Place, endpoints: readonly string[]): RoutePatch {
  return { route: place.route, patch: ownPatch(place, endpoints) }
}

function ownPatch({ variant }: Place, endpoints: readonly string[]) {
  return {
    variants: { [variant]: { endpoints } },
    weights: { [variant]: endpoints.length === 0 ? 0 : 100 },
  }
}

/** One atomic switch; what was stable stays reachable as the candidate where the two change places. */
function productionPatch(
  { name, variants }: RoutePolicy,
  endpoints: readonly string[],
  weightsBefore: Weights = {},
): RoutePatch {
  const stable = variants['stable']?.endpoints ?? []
  const changesPlaces =
    endpoints.length > 0 && sameEndpoints(variants['candidate']?.endpoints ?? [], endpoints)
  const candidate =
    changesPlaces && !sameEndpoints(stable, endpoints) ? { candidate: { endpoints: stable } } : {}
  return {
    route: name,
    patch: {
      variants: { stable: { endpoints }, ...candidate },
      weights: asBefore(variants, weightsBefore) ?? weightsOf(variants, endpoints.length === 0 ? 0 : 100),
    },
  }
}

/** Its weights are touched only where users would be led to another version than before. */
export function candidatePatch(
  { name, variants, weights }: RoutePolicy,
  endpoints: readonly string[],
): RoutePatch {
  const stable = variants['stable']?.endpoints ?? []
  const hasUsers = (weights['candidate'] ?? 0) > 0
  return {
    route: name,
    patch: {
      variants: { candidate: { endpoints } },
      weights: hasUsers ? weightsOf(variants, stable.length === 0 ? 0 : 100) : { candidate: 0 },
    },
  }
}

type Weights = Readonly<Record<string, number>>

function weightsOf(variants: object, stable: number): Weights {
  return Object.fromEntries(Object.keys(variants).map(name => [name, name === 'stable' ? stable : 0]))
}

/** Undefined where nothing is known, or the variants are others by now, so that they would not add up. */
function asBefore(variants: object, before: Weights): Weights | undefined {
  const names = Object.keys(before)
  const isSame = names.length === Object.keys(variants).length && names.every(name => name in variants)
  return isSame ? before : undefined
}

export function sameEndpoints(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((endpoint, index) => endpoint === b[index])
}
