import type { RoutePolicy } from '../../contract/policy.ts'
import type { Variant } from './policy.ts'

/** How long to wait before the other variant is asked as well; undefined while too little is known of it. */
export function hedgeAfterMs(hedge: NonNullable<RoutePolicy['hedge']>, other: Variant): number | undefined {
  const seconds = other.counts.duration.quantile(hedge.quantile, hedge.minSamples)
  return seconds === undefined ? undefined : seconds * 1000
}
