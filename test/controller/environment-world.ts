import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createGatewayClient } from '../../client/gateway.ts'
import { environmentSettings, type EnvironmentName } from '../../contract/environment.ts'
import { routePolicy, type RoutePolicy } from '../../contract/policy.ts'
import { createAudit } from '../../controller/audit.ts'
import { createLifecycle } from '../../controller/lifecycle/lifecycle.ts'
import { createRecordedGateway } from '../../controller/recorded-gateway.ts'
import { createRolloutStore } from '../../controller/rollouts/rollout-store.ts'
import type { DeploymentObserver } from '../../controller/runtime/facts.ts'
import type { DeploymentStatus, Runtime } from '../../controller/runtime/runtime.ts'
import { openStore } from '../../controller/store.ts'
import { sha256 } from '../../lib/hash.ts'
import { mergePatch } from '../../lib/merge-patch.ts'
import { localRegistry } from './local-registry.ts'
import { json, listen } from './small-gateway.ts'

const VERSIONS = ['1', '2', '3', '4']
const ROUTE = 'food11'

export function digestOf(version: string): string {
  return `sha256:${sha256(version)}`
}

export type EnvironmentWorld = Awaited<ReturnType<typeof startEnvironmentWorld>>

/** A gateway with listeners, model servers and a models folder, as small real servers. They outlive controllers. */
export async function startEnvironmentWorld(t: Test) {
  const stateDir = mkdtempSync(join(tmpdir(), 'weir-'))
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
  for (const version of VERSIONS) writeVersion(join(stateDir, 'models', ROUTE, version), version)
  const runtime = createServers(t)
  const [stable] = await runtime.place('food11-v1', '1')
  const gateway = await startRoutes(t, {
    name: ROUTE,
    variants: { stable: { endpoints: [stable] }, candidate: { endpoints: [] } },
    weights: { stable: 100, candidate: 0 },
  })
  let now = 1_750_000_000_000
  const clock = { now: () => now, sleep: async () => {}, forward: (ms: number) => void (now += ms) }
  return { stateDir, runtime, gateway, clock }
}

/** What a lifecycle's ways to the outside lead through, for tests that cut them. */
export type Through = <T extends object>(dependency: T) => T

const same: Through = dependency => dependency

/** A lifecycle over its real store; a test decides when it looks. Another one over the same world is one after a crash. */
export function startLifecycle(
  t: Test,
  world: EnvironmentWorld,
  through: Through = same,
  written: object = {},
) {
  const { stateDir, gateway: routes, clock } = world
  const runtime = through(world.runtime)
  const store = openStore(stateDir)
  let open = true
  const stop = () => {
    if (open) store.close()
    open = false
  }
  t.teardown(stop)
  const audit = createAudit(store)
  const registry = through(localRegistry(join(stateDir, 'models'), store))
  const rollouts = createRolloutStore(store)
  const log = pino({ level: 'silent' })
  const client = through(createGatewayClient({ baseUrl: routes.operatorUrl }))
  const gateway = createRecordedGateway({ gateway: client, store, audit, clock, log })
  const where = { route: ROUTE, model: ROUTE, ports: routes.ports }
  const settings = environmentSettings.parse({ keepWarm: '10m', readyWithin: '60s', ...written })
  const shared = { store, rollouts, audit, gateway, runtime, registry, clock, log }
  const { environments, reconciler } = createLifecycle({
    ...shared,
    where,
    host: '127.0.0.1',
    settings,
  })
  const look = async (name: EnvironmentName) => {
    clock.forward(1000)
    await reconciler.tick(name)
  }
  /** Looks until nothing is under way; returns what stands there then. */
  const settle = async (name: EnvironmentName) => {
    for (let looks = 0; looks < 2 || environments.deployed(name, null).busy; looks++) {
      if (looks > 500) throw new Error(`${name} never settles: ${environments.view(name).message}`)
      await look(name)
    }
    return environments.view(name)
  }
  return { ...shared, environments, reconciler, look, settle, stop }
}

export type LifecycleUnderTest = ReturnType<typeof startLifecycle>

/** Brings a version into staging and calls it good there. */
export async function provenInStaging({ environments, settle }: LifecycleUnderTest, version: string) {
  const asked = { to: 'staging' as const, from: 'development' as const, version, force: false, actor: 'ada' }
  const begin = await environments.preparePromote(asked)
  begin()
  const { current } = await settle('staging')
  environments.markGood('staging', current?.revision ?? 0, 'every gate passed')
}

function writeVersion(dir: string, version: string): void {
  mkdirSync(dir, { recursive: true })
  const manifest = JSON.parse(readFileSync('models/food11/1/model.json', 'utf8')) as object
  writeFileSync(join(dir, 'model.json'), JSON.stringify({ ...manifest, version, digest: digestOf(version) }))
  const named = ['model.onnx', 'reference.jpg', 'reference.png']
  for (const file of named) writeFileSync(join(dir, file), '') // nothing here runs it
}

/** What a version does in place of starting as it should. */
export type Trouble = 'slow' | 'refused' | 'impostor'

/** Deployments as servers in this process that say which version they are. */
function createServers(t: Test) {
  const running = new Map<string, { version: string; endpoints: readonly string[] }>()
  const troubles = new Map<string, Trouble>()
  const stopped: string[] = []
  const scaled: string[] = []
  const memoryLimits = new Map<string, number | null>()

  async function place(id: string, version: string, instances = 1): Promise<[string, ...string[]]> {
    const says = troubles.get(version) === 'impostor' ? 'another' : version
    const another = () =>
      listen(t, (_, response) =>
        json(response, { model: ROUTE, model_version: says, digest: digestOf(says) }),
      )
    const there = running.get(id)?.endpoints ?? []
    const [first = await another(), ...rest] = there
    while (rest.length < instances - 1) rest.push(await another())
    const endpoints: [string, ...string[]] = [first, ...rest]
    running.set(id, { version, endpoints })
    return endpoints
  }

  const list = () => [...running].map(([id, found]) => ({ id, model: ROUTE, drilled: false, ...found }))
  const runtime: Runtime & DeploymentObserver = {
    facts: async id => (running.has(id) ? { running: true, exits: [], peakBytes: null } : undefined),
    async deploy({ id, version, instances, memoryLimitMiB = null }) {
      memoryLimits.set(id, memoryLimitMiB)
      return { endpoints: await place(id, version.version, instances) }
    },
    async scale(id, instances) {
      const found = running.get(id)
      if (found === undefined) throw new Error(`nothing is deployed as ${id}`)
      scaled.push(`${id}: ${instances}`)
      running.set(id, { ...found, endpoints: found.endpoints.slice(0, instances) })
      await place(id, found.version, instances)
    },
    limitMemory: (id, limitMiB) => void memoryLimits.set(id, limitMiB),
    async status(id): Promise<DeploymentStatus> {
      const found = running.get(id)
      if (found === undefined) return { kind: 'absent' }
      const { version, endpoints } = found
      const trouble = troubles.get(version)
      if (trouble === 'slow') return { kind: 'starting', endpoints, reason: 'loading' }
      if (trouble === 'refused')
        return { kind: 'refused', endpoints, reason: 'eleven outputs of another model' }
      return { kind: 'ready', endpoints, digest: digestOf(trouble === 'impostor' ? 'another' : version) }
    },
    list,
    at: wanted => list().find(({ endpoints }) => endpoints.includes(wanted)),
    stop(id) {
      stopped.push(id)
      running.delete(id)
    },
    logs: async () => ({ items: [], cursor: '' }),
    supervise: async () => {},
    stopAll: async () => {},
  }
  return { ...runtime, place, troubles, stopped, scaled, memoryLimits, runs: (id: string) => running.has(id) }
}

/** The operator API over several routes, and a listener for each environment that asks whom its route leads to. */
async function startRoutes(t: Test, first: object) {
  const routes = new Map<string, { policy: RoutePolicy; version: number }>()
  const write = (policy: object) => {
    const parsed = routePolicy.parse(policy)
    const version = (routes.get(parsed.name)?.version ?? 0) + 1
    routes.set(parsed.name, { policy: parsed, version })
  }
  write(first)
  /** Every policy of the public route that was in force, in order. */
  const publicPolicies: RoutePolicy[] = []

  async function change(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = decodeURIComponent(request.url?.split('/')[3] ?? '')
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const body = JSON.parse(text) as object
    const known = routes.get(name)
    const ifMatch = request.headers['if-match']
    if (ifMatch !== undefined && ifMatch !== `"${known?.version}"`) {
      response.statusCode = 412
      return json(response, { error: { code: 'precondition_failed', message: 'another version' } })
    }
    write(request.method === 'PUT' ? { ...body, name } : (mergePatch(known?.policy, body) as object))
    const written = routes.get(name)
    if (name === ROUTE && written) publicPolicies.push(written.policy)
    json(response, written)
  }

  const operatorUrl = await listen(t, (request, response) => {
    const [, , , name, status] = (request.url ?? '').split('/')
    if (name === undefined) return json(response, { items: [...routes.values()] })
    if (request.method !== 'GET') return void change(request, response)
    const found = routes.get(name)
    if (found === undefined) {
      response.statusCode = 404
      return json(response, { error: { code: 'route_not_found', message: name } })
    }
    const { version } = found
    if (status === 'status')
      return json(response, { route: name, version, epoch: 1, workers: [], endpoints: [], assigned: {} })
    response.setHeader('etag', `"${version}"`)
    json(response, found.policy)
  })

  const listener = async (name: string): Promise<number> => {
    const url = await listen(t, (incoming, response) => {
      const policy = routes.get(name)?.policy
      const variant = String(incoming.headers['x-weir-variant'])
      const [endpoint] = policy?.variants[variant]?.endpoints ?? []
      if (endpoint === undefined) {
        response.statusCode = 503
        return json(response, { error: { code: 'route_closed', message: name } })
      }
      request(`${endpoint}/version`, answer => void answer.pipe(response)).end()
    })
    return Number(new URL(url).port)
  }
  const ports = {
    production: await listener(ROUTE),
    staging: await listener(`${ROUTE}-staging`),
    canary: await listener(`${ROUTE}-canary`),
  }
  return {
    operatorUrl,
    ports,
    write,
    publicPolicies,
    policy: (name: string) => {
      const found = routes.get(name)
      if (found === undefined) throw new Error(`no route ${name}`)
      return found.policy
    },
  }
}
