import { stringify } from 'yaml'
import type { UpPorts } from './ports.ts'

interface SeedConfig {
  readonly route: string
  readonly servingPorts: readonly [stable: number, candidate: number]
  readonly ports: Pick<UpPorts, 'staging' | 'canary'>
}

/**
 * What a gateway begins with under `weir up`: all traffic on stable, a candidate beside it, nobody sees a failure. Canary, which
 * is the candidate, and staging, where nothing runs yet, can be reached by themselves.
 */
export function seedConfig({ route, servingPorts: [stable, candidate], ports }: SeedConfig): string {
  const shared = { contract: 'prediction', idempotent: true }
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
        mirror: { to: 'candidate', percent: 0 },
        fallback: { to: 'stable' },
        ...shared,
      },
      {
        name: `${route}-staging`,
        match: { port: ports.staging },
        variants: { staging: { endpoints: [] } },
        weights: { staging: 0 },
        ...shared,
      },
      {
        name: `${route}-canary`,
        match: { port: ports.canary },
        variants: { canary: { endpoints: [`http://127.0.0.1:${candidate}`] } },
        weights: { canary: 100 },
        ...shared,
      },
    ],
  })
}
