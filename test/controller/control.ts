import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { createAlerts } from '../../controller/alerts/alerts.ts'
import { parseAlertsConfig } from '../../controller/alerts/config.ts'
import { createDeliverer } from '../../controller/alerts/deliver.ts'
import { createOutbox } from '../../controller/alerts/outbox.ts'
import { addressBook } from '../../controller/alerts/receivers.ts'
import { alertOnRollouts } from '../../controller/alerts/rollout-notices.ts'
import { createRouteWatcher } from '../../controller/alerts/watch-routes.ts'
import { createControllerApp } from '../../controller/app.ts'
import { createAudit } from '../../controller/audit.ts'
import { createGatewayScrape } from '../../controller/evidence/gateway-scrape.ts'
import { createControllerMetrics } from '../../controller/metrics.ts'
import { createRecordedGateway } from '../../controller/recorded-gateway.ts'
import { createHooks, tellChanges } from '../../controller/rollouts/hooks.ts'
import { createReconciler } from '../../controller/rollouts/reconcile.ts'
import { createRolloutService } from '../../controller/rollouts/rollout-service.ts'
import { createRolloutStore } from '../../controller/rollouts/rollout-store.ts'
import type { VersionLookup } from '../../controller/registry/registry.ts'
import { createUploads } from '../../controller/registry/uploads.ts'
import type { Runtime } from '../../controller/runtime/runtime.ts'
import { openStore } from '../../controller/store.ts'
import { localRegistry } from './local-registry.ts'
import { json, listen, startSmallGateway, type Misbehaviour, type SmallGateway } from './small-gateway.ts'
import { createSmallRuntime } from './small-runtime.ts'

/** With which the messages of a controller under test are signed. */
export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

const DIGESTS: Readonly<Record<string, string>> = { 1: 'sha256:one', 2: 'sha256:two', 3: 'sha256:three' }

export interface World {
  readonly gateway: SmallGateway
  readonly runtime: Runtime
  readonly stateDir: string
  /** The time that everything goes by, in ms; it moves only when a test moves it. */
  readonly clock: { now(): number; sleep(): Promise<void>; forward(ms: number): void }
  /** What a controller's ways to the outside lead through, for tests that cut them. */
  readonly through?: <T extends object>(name: string, dependency: T) => T
}

interface WorldOptions {
  /** How many processes stable has. */
  readonly processes?: number | undefined
  /** The runtime runs them, and can stop them. */
  readonly runsStable?: boolean | undefined
}

/** What a controller finds outside of itself: a gateway, model servers, a state folder, the time. It outlives controllers. */
export async function startWorld(t: Test, policy: object = {}, options: WorldOptions = {}) {
  const { processes = 1, runsStable = false } = options
  const stateDir = mkdtempSync(join(tmpdir(), 'weir-'))
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
  const stable: string[] = []
  while (stable.length < processes)
    stable.push(await listen(t, (_, response) => json(response, answerOf('1'))))
  const candidate = await listen(t, (_, response) => json(response, answerOf('2')))
  const gateway = await startSmallGateway(t, {
    name: 'food11',
    variants: { stable: { endpoints: stable }, candidate: { endpoints: [] } },
    weights: { stable: 100, candidate: 0 },
    ...policy,
  })
  const placed = { id: 'food11-v1', version: '1', digest: 'sha256:one', endpoints: stable }
  const runtime = createSmallRuntime(candidate, runsStable ? [placed] : [])
  let now = 1_750_000_000_000
  const clock = { now: () => now, sleep: async () => {}, forward: (ms: number) => void (now += ms) }
  return { gateway, runtime, stateDir, clock }
}

/** A controller in this process: its real store, API and reconciler; a test decides when it looks. */
export async function startControl(t: Test, world: World, prometheusUrl?: string, alertsYaml = '') {
  const { gateway: small, clock, stateDir, through = same } = world
  const store = through('store', openStore(stateDir))
  const runtime = through('runtime', world.runtime)
  const log = pino({ level: 'silent' })
  const audit = createAudit(store)
  const { receivers, watch: config } = parseAlertsConfig(alertsYaml, 'alerts.yaml')
  const outbox = createOutbox(store, clock)
  const alerts = createAlerts({ store, outbox, audit, receivers, clock, log })
  const hooks = createHooks({ outbox, clock })
  const rollouts = tellChanges(createRolloutStore(store), [hooks.changed, alertOnRollouts(alerts)])
  const client = through('gateway', createGatewayClient({ baseUrl: small.url }))
  const gateway = createRecordedGateway({ gateway: client, store, audit, clock, log })
  const prometheus = prometheusUrl === undefined ? undefined : { baseUrl: prometheusUrl }
  const metrics = createControllerMetrics(rollouts.latest, alerts.firing)
  const evidence = metrics.watch(createGatewayScrape({ baseUrls: [small.url], clock }))
  const shared = { store, rollouts, audit, gateway, registry, runtime, clock, log, metrics, hooks }
  const reconciler = createReconciler({ ...shared, evidence, prometheus })
  const hasPrometheus = prometheus !== undefined
  const service = createRolloutService({ ...shared, hasPrometheus, nudge: () => {} })
  const app = await createControllerApp({
    service,
    registry: localRegistry(join(stateDir, 'models'), store),
    uploads: createUploads(join(stateDir, 'uploads')),
    runtime,
    audit,
    store,
    clock,
    log,
    metrics,
    alerts,
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const deliverer = createDeliverer({
    outbox,
    addressOf: addressBook(receivers),
    secret: SECRET,
    onSettled: metrics.delivered,
    clock,
    log,
  })
  const watcher = createRouteWatcher({ ...shared, evidence, alerts, config })
  let open = true
  /** As a crash leaves it: nothing is finished, and the store can be opened by the next one. */
  const stop = async () => {
    if (!open) return
    open = false
    await app.close()
    store.close()
  }
  t.teardown(stop)
  return {
    url,
    client: createControllerClient({ baseUrl: url, actor: 'ada' }),
    store,
    tick: reconciler.tick,
    /** Sends what is due and waits until that is settled. */
    deliver: () => deliverer.deliverDue(new AbortController().signal),
    /** One look at stable. */
    watch: watcher.look,
    alerts,
    outbox,
    stop,
  }
}

export type Control = Awaited<ReturnType<typeof startControl>>

/** Lets seconds pass, with a look and this much traffic in each. */
export async function pass(
  { gateway, clock }: World,
  control: Control,
  { name, seconds, requestsPerSecond, ...rest }: Passing,
): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.forward(1000)
    gateway.serve(requestsPerSecond, rest)
    await control.tick(name)
  }
}

interface Passing extends Misbehaviour {
  readonly name: string
  readonly seconds: number
  readonly requestsPerSecond: number
}

/** A rollout of version 2 with a look every second. */
export function rolloutOf(spec: object = {}): object {
  const analysis = { interval: '1s', settle: '2s' }
  return {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: { route: 'food11', modelVersion: '2', analysis, ...spec },
  }
}

const registry: VersionLookup = {
  versions: async model => [versionOf(model, '1'), versionOf(model, '2')],
  get: async (model, version) => versionOf(model, version),
  fetch: async (model, version) => `models/${model}/${version}`,
}

function versionOf(model: string, version: string) {
  const digest = DIGESTS[version] ?? ''
  return { model, version, digest, registeredAt: null, registeredBy: null, failed: null }
}

function answerOf(version: string): object {
  return { model: 'food11', model_version: version, digest: DIGESTS[version] }
}

function same<T>(_: string, dependency: T): T {
  return dependency
}
