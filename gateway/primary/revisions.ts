/**
 * A revision numbers every change of any route, in the order in which workers hear of them. From the last revision a worker
 * acknowledged follows which version of each route it applies.
 */
export interface Revisions {
  current(): number
  /** The change that takes a route to a version (undefined: removes it). */
  next(route: string, version: number | undefined): number
  /** The version of a route that a worker at a revision applies. */
  versionAt(route: string, revision: number): number | undefined
}

interface Step {
  readonly revision: number
  readonly version: number | undefined
}

/** A worker that lags further behind than this is replaced long before. */
const KEPT_STEPS = 16

export function createRevisions(routes: readonly { policy: { name: string }; version: number }[]): Revisions {
  const steps = new Map<string, Step[]>(
    routes.map(({ policy, version }) => [policy.name, [{ revision: 0, version }]]),
  )
  let revision = 0
  return {
    current: () => revision,
    next(route, version) {
      revision++
      steps.set(route, [...(steps.get(route) ?? []), { revision, version }].slice(-KEPT_STEPS))
      return revision
    },
    versionAt: (route, at) => steps.get(route)?.findLast(step => step.revision <= at)?.version,
  }
}
