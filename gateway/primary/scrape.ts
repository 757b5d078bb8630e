import { weightsBp } from '../../contract/policy.ts'
import { seriesOf } from '../series.ts'
import type { EndpointView } from './endpoints.ts'
import type { StoredRoute } from './policy-store.ts'
import type { WorkerView } from './worker-pool.ts'

export interface Moment {
  readonly routes: readonly StoredRoute[]
  readonly endpoints: readonly EndpointView[]
  readonly workers: readonly WorkerView[]
  readonly workerVersion: (worker: WorkerView, route: string) => number | undefined
  readonly restarts: number
  readonly storeHealthy: boolean
}

/** What is so at this moment, as series beside the totals. */
export function gaugesOf(moment: Moment): (readonly [series: string, value: number])[] {
  const { routes, endpoints, workers, workerVersion, restarts, storeHealthy } = moment
  return [
    ...routes.flatMap(({ policy }) =>
      Object.entries(weightsBp(policy)).map(
        ([variant, bp]) =>
          [seriesOf('weir_weight_ratio', { route: policy.name, variant }), bp / 10_000] as const,
      ),
    ),
    ...workers.flatMap(worker =>
      routes.flatMap(({ policy: { name: route } }) => {
        const version = workerVersion(worker, route)
        return version === undefined
          ? []
          : [[seriesOf('weir_policy_version', { route, worker: worker.name }), version] as const]
      }),
    ),
    ...endpoints.map(
      ({ route, variant, endpoint, state }) =>
        [seriesOf('weir_endpoint_up', { route, variant, endpoint }), state === 'out' ? 0 : 1] as const,
    ),
    ['weir_workers', workers.filter(({ ready }) => ready).length],
    ['weir_worker_restarts_total', restarts],
    ['weir_policy_store_healthy', storeHealthy ? 1 : 0],
  ]
}
