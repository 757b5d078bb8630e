import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { createControllerClient, type ControllerClient, type Rollout } from '../../client/controller.ts'
import { createGatewayClient, type GatewayClient } from '../../client/gateway.ts'
import { startSteadyLoad, type SteadyLoad } from '../../cli/load/steady-load.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { pause, systemPort, untilAnswering } from '../gateway/bench.ts'
import type { RolloutBench } from './bench.ts'
import { MODEL, writeModels, type Chances } from './model.ts'

const HOST = '127.0.0.1'
export const ALL_CORES = `0-${availableParallelism() - 1}`
const PROGRAMS = fileURLToPath(new URL('../../', import.meta.url))
const START_LIMIT_MS = 60_000
/** Longer than any rollout of the bench takes, with its deadline. */
const END_LIMIT_MS = 20 * 60_000
const LOOK_EVERY_MS = 250
/** What clients send: the bench's models do not look at it. */
const BODY = Buffer.alloc(1000, 'x')

interface StackOptions {
  readonly name: string
  readonly routes: readonly RouteOptions[]
  readonly chances: Chances
  /** Runs versions 1 and 2 behind the endpoints of the first route. */
  readonly seed: boolean
  readonly operatorPort?: number
  readonly prometheusUrl?: string
}

interface RouteOptions {
  /** The endpoints of each; stable has all traffic. */
  readonly variants: Readonly<Record<'stable' | 'candidate' | 'reserve', readonly string[]>>
  /** What the policy has beside the usual. */
  readonly settings?: object
}

/** A gateway and a controller as processes of their own, and a listener of the gateway's for each route. */
export interface RolloutStack {
  readonly gateway: GatewayClient
  readonly controller: ControllerClient
  readonly routes: readonly StackRoute[]
}

interface StackRoute {
  readonly name: string
  load(requestsPerSecond: number): SteadyLoad
}

export async function startStack(bench: RolloutBench, options: StackOptions): Promise<RolloutStack> {
  const dir = join(bench.dir, options.name)
  mkdirSync(dir, { recursive: true })
  writeModels(join(dir, 'models'), options.chances)
  const operator = options.operatorPort ?? (await ownPort())
  const routes = await Promise.all(
    options.routes.map(async (route, index) => ({ ...route, name: `r${index}`, port: await ownPort() })),
  )
  const config = join(dir, 'gateway.yaml')
  writeFileSync(config, stringify({ routes: routes.map(policyOf) }))
  const operatorUrl = urlOf(operator)
  const owned = ['--state', dir, '--owner-pid', String(process.pid)]
  const gatewayPorts = ['--port', String(await ownPort()), '--operator-port', String(operator)]
  start(bench, 'gateway/main.ts', ['--config', config, '--workers', '1', ...gatewayPorts, ...owned])
  await untilAnswering(`${operatorUrl}/livez`, START_LIMIT_MS)

  const port = await ownPort()
  const seed = options.seed ? ['--seed', `r0=${MODEL}:1,2`] : []
  const controllerArgs = ['--port', String(port), '--gateway', operatorUrl, '--models', join(dir, 'models')]
  const { prometheusUrl } = options
  start(bench, 'controller/main.ts', [...controllerArgs, ...FIRST_PORT, ...seed, ...owned], {
    ...(prometheusUrl !== undefined && { PROMETHEUS_URL: prometheusUrl }),
  })
  await untilAnswering(`${urlOf(port)}/v1/rollouts`, START_LIMIT_MS)
  await untilAnswering(`${operatorUrl}/readyz`, START_LIMIT_MS)
  return {
    gateway: createGatewayClient({ baseUrl: operatorUrl }),
    controller: createControllerClient({ baseUrl: urlOf(port), actor: 'bench' }),
    routes: routes.map(({ name, port: own }) => ({
      name,
      load: requestsPerSecond =>
        startSteadyLoad({ url: urlOf(own), photos: [BODY], requestsPerSecond, users: 0 }),
    })),
  }
}

/** Away from where others look for ports. */
const FIRST_PORT = ['--first-serving-port', '24101']

interface NamedRoute extends RouteOptions {
  readonly name: string
  readonly port: number
}

function policyOf({ name, port, variants, settings }: NamedRoute): object {
  const { stable, candidate, reserve } = variants
  return {
    name,
    match: { port },
    variants: {
      stable: { endpoints: stable },
      candidate: { endpoints: candidate },
      ...(reserve.length > 0 && { reserve: { endpoints: reserve } }),
    },
    weights: { stable: 100, candidate: 0 },
    fallback: { to: reserve.length > 0 ? 'reserve' : 'stable' },
    idempotent: true,
    ...settings,
  }
}

/** `weir serve` with version 1, ready: its address. */
export async function startServer(
  bench: RolloutBench,
  models: string,
  drill: string[] = [],
): Promise<string> {
  const port = await ownPort()
  const args = ['--model', join(models, MODEL, '1'), '--port', String(port), ...drill]
  start(bench, 'serving/main.ts', [...args, '--owner-pid', String(process.pid)])
  await untilAnswering(`${urlOf(port)}/readyz`, START_LIMIT_MS)
  return urlOf(port)
}

function start(
  { processes }: RolloutBench,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  processes.start(ALL_CORES, 'env', [...settings, process.execPath, join(PROGRAMS, program), ...args])
}

/** Traffic that arrives: a rollout that begins before has nothing to look at. */
export async function untilFlowing(load: SteadyLoad): Promise<void> {
  const limit = performance.now() + START_LIMIT_MS
  while (load.snapshot().answered === 0) {
    if (performance.now() > limit) throw new Error('no request was answered')
    await pause(50)
  }
}

const given = new Set<number>()

/** A port that is free now and was not given before: what it is for listens later. */
export async function ownPort(): Promise<number> {
  for (;;) {
    const port = await systemPort()
    if (given.has(port)) continue
    given.add(port)
    return port
  }
}

export function urlOf(port: number): string {
  return `http://${HOST}:${port}`
}

export function rolloutFile(route: string, spec: object): object {
  return { apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout', spec: { route, ...spec } }
}

/** Looks at a rollout until it is over; `seen` is shown every look. Throws when it takes too long. */
export async function untilOver(
  { controller }: RolloutStack,
  name: string,
  seen: (rollout: Rollout) => void = () => {},
): Promise<Rollout> {
  const limit = performance.now() + END_LIMIT_MS
  while (performance.now() < limit) {
    const rollout = await controller.rollout(name)
    seen(rollout)
    if (TERMINAL_PHASES.has(rollout.phase)) return rollout
    await pause(LOOK_EVERY_MS)
  }
  throw new Error(`${name} is not over after ${END_LIMIT_MS / 60_000} minutes`)
}
