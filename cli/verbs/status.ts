import type { Command } from 'commander'
import type { PolicyView, RouteStatus } from '../../client/gateway.ts'
import type { Rollout } from '../../client/controller.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import {
  connectController,
  connectGateway,
  print,
  printJson,
  withConnection,
  type ConnectOptions,
} from '../connect.ts'
import { rolloutLine } from '../render/rollout.ts'
import { table } from '../render/table.ts'

interface RouteOverview {
  readonly route: PolicyView
  readonly status: RouteStatus
}

export function addStatus(program: Command): void {
  withConnection(program.command('status'))
    .description('every route: weights, endpoints and their health, workers, the rollout under way')
    .action(status)
}

async function status(options: ConnectOptions): Promise<void> {
  const gateway = connectGateway(options)
  const routes = await gateway.routes()
  const overviews = await Promise.all(
    routes.map(async route => ({ route, status: await gateway.status(route.policy.name) })),
  )
  const rollouts = await connectController(options).rollouts()
  if (options.json) {
    return printJson({ routes: overviews.map(({ route, status }) => ({ ...route, status })), rollouts })
  }
  for (const overview of overviews)
    print(`${describeRoute(overview)}\n${describeRollouts(overview, rollouts)}`)
}

function describeRoute({ route: { policy, version }, status }: RouteOverview): string {
  const lagging = status.workers.filter(worker => worker.version !== version).length
  const workers =
    lagging === 0 ? `in force in all ${status.workers.length} workers` : `${lagging} workers lag behind`
  const rows = Object.entries(policy.weights).map(([variant, weight]) => [
    `  ${variant}`,
    weight,
    status.assigned[variant] ?? 0,
    endpointsOf(status, variant),
  ])
  const head = `${policy.name}: policy version ${version}, ${workers}`
  return `${head}\n${table(['  VARIANT', 'WEIGHT %', 'ASSIGNED', 'ENDPOINTS'], rows)}\n  ${extras(policy)}`
}

function endpointsOf({ endpoints }: RouteStatus, variant: string): string {
  const own = endpoints.filter(endpoint => endpoint.variant === variant)
  if (own.length === 0) return 'none'
  return own
    .map(({ endpoint, state, reason }) => `${endpoint} ${state}${reason === undefined ? '' : ` (${reason})`}`)
    .join(', ')
}

function extras({ sticky, mirror, fallback }: PolicyView['policy']): string {
  return [
    sticky === undefined ? 'users not pinned' : `users pinned by ${Object.entries(sticky)[0]?.join(' ')}`,
    mirror === undefined || mirror.percent === 0
      ? 'no mirror'
      : `${mirror.percent} % mirrored to ${mirror.to}`,
    fallback === undefined ? 'no fallback' : `fallback to ${fallback.to}`,
  ].join(', ')
}

function describeRollouts({ route }: RouteOverview, rollouts: readonly Rollout[]): string {
  const here = rollouts.filter(rollout => rollout.route === route.policy.name)
  const underWay = here.filter(rollout => !TERMINAL_PHASES.has(rollout.phase))
  const shown = underWay.length > 0 ? underWay : here.slice(0, 1)
  return shown.length === 0
    ? '  no rollout yet'
    : shown.map(rollout => `  ${rolloutLine(rollout)}`).join('\n')
}
