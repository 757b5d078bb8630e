import { stringify } from 'yaml'

interface SeedConfig {
  readonly route: string
  readonly servingPorts: readonly [stable: number, candidate: number]
}

/** What a gateway begins with under `weir up`: all traffic on stable, a candidate beside it, nobody sees a failure. */
export function seedConfig({ route, servingPorts: [stable, candidate] }: SeedConfig): string {
  return stringify({
    routes: [
      {
        name: route,
        match: { pathPrefix: '/' },
        variants: {
          stable: { endpoints: [`http://127.0.0.1:${stable}`] },
          candidate: { endpoints: [`http://127.0.0.1:${candidate}`] },
        },
        weights: { stable: 100, candidate: 0 },
        sticky: { header: 'x-user-id' },
        contract: 'prediction',
        mirror: { to: 'candidate', percent: 0 },
        fallback: { to: 'stable' },
        idempotent: true,
      },
    ],
  })
}
