import { join } from 'node:path'
import { z } from 'zod'
import { createGatewayClient } from '../client/gateway.ts'
import { WeirError } from '../contract/errors.ts'
import { systemClock } from '../lib/clock.ts'
import { readEnv } from '../lib/env.ts'
import { lockFolder } from '../lib/folder-lock.ts'
import { createLog } from '../lib/log.ts'
import { describeProblem } from '../lib/problem.ts'
import { REFUSED_EXIT_CODE, stopOnSignals } from '../lib/shutdown.ts'
import { createAlerts } from './alerts/alerts.ts'
import { readAlertsConfig } from './alerts/config.ts'
import { createDeliverer } from './alerts/deliver.ts'
import { createOutbox } from './alerts/outbox.ts'
import { addressBook } from './alerts/receivers.ts'
import { alertOnRollouts } from './alerts/rollout-notices.ts'
import { readSigningSecret } from './alerts/signature.ts'
import { createRouteWatcher } from './alerts/watch-routes.ts'
import { createControllerApp } from './app.ts'
import { createAudit } from './audit.ts'
import { createGatewayScrape } from './evidence/gateway-scrape.ts'
import { createPrometheus } from './evidence/prometheus.ts'
import { createLifecycle } from './lifecycle/lifecycle.ts'
import { createPipeline } from './lifecycle/pipeline.ts'
import { requireMayAct, requireMayStart } from './lifecycle/pipeline-approvers.ts'
import { createPipelineStore } from './lifecycle/pipeline-store.ts'
import { readEnvironmentSettings } from './lifecycle/settings.ts'
import { createControllerMetrics } from './metrics.ts'
import { readOptions } from './options.ts'
import { createLocalRegistry } from './registry/local.ts'
import { createMlflowApi } from './registry/mlflow-api.ts'
import { parseMlflowNames } from './registry/mlflow-names.ts'
import { mlflowCredentials, mlflowSettings } from './registry/mlflow-settings.ts'
import { createMlflowRegistry } from './registry/mlflow.ts'
import { createModelFolder } from './registry/model-folder.ts'
import { createUploads } from './registry/uploads.ts'
import { createRecordedGateway } from './recorded-gateway.ts'
import { createHooks, tellChanges } from './rollouts/hooks.ts'
import { createReconciler } from './rollouts/reconcile.ts'
import { createRolloutService } from './rollouts/rollout-service.ts'
import { createRolloutStore } from './rollouts/rollout-store.ts'
import { createProcessRuntime } from './runtime/processes.ts'
import { seedRoute } from './runtime/seed.ts'
import { openStore } from './store.ts'

const clock = systemClock

async function main(): Promise<void> {
  const values = readOptions(process.argv.slice(2))
  const ownerPid = values['owner-pid']
  const env = readEnv(
    {
      WEIR_STATE: z.string().default('.weir'),
      WEIR_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      /** Who hears of alerts and what is watched; alerts.yaml in the state folder by default. */
      WEIR_ALERTS: z.string().optional(),
      PROMETHEUS_URL: z.url({ protocol: /^https?$/ }).optional(),
      ...mlflowSettings,
    },
    process.env,
  )
  const log = createLog('controller', env.WEIR_LOG_LEVEL)
  const stateDir = values.state ?? env.WEIR_STATE
  lockFolder(stateDir, 'controller') // two would decide, and apply, twice; given back when this process ends
  const { receivers, watch } = await readAlertsConfig(stateDir, values.alerts ?? env.WEIR_ALERTS)
  const store = openStore(stateDir)
  const audit = createAudit(store)
  const outbox = createOutbox(store, clock)
  const alerts = createAlerts({ store, outbox, audit, receivers, clock, log })
  const hooks = createHooks({ outbox, clock })
  const rollouts = tellChanges(createRolloutStore(store), [hooks.changed, alertOnRollouts(alerts)])
  const gateway = createRecordedGateway({
    gateway: createGatewayClient({ baseUrl: values.gateway }),
    store,
    audit,
    clock,
    log,
  })
  const mlflow =
    env.MLFLOW_TRACKING_URI === undefined
      ? undefined
      : createMlflowRegistry({
          api: createMlflowApi({ baseUrl: env.MLFLOW_TRACKING_URI, credentials: mlflowCredentials(env) }),
          names: env.WEIR_MLFLOW_NAMES ?? parseMlflowNames(),
          cache: createModelFolder(join(stateDir, 'models')),
          store,
          audit,
          clock,
        })
  const registry =
    mlflow ?? createLocalRegistry({ folder: createModelFolder(values.models), store, audit, clock })
  mlflow?.settle().catch((error: unknown) => log.warn({ err: error }, 'registrations are not settled yet'))
  const runtime = createProcessRuntime({
    store,
    registry,
    stateDir,
    host: '127.0.0.1',
    firstPort: values['first-serving-port'],
    clock,
    log,
    ownerPid,
  })
  const metrics = createControllerMetrics(rollouts.latest, alerts.firing)
  const prometheus = env.PROMETHEUS_URL === undefined ? undefined : { baseUrl: env.PROMETHEUS_URL }
  const source = prometheus
    ? createPrometheus(prometheus)
    : createGatewayScrape({ baseUrls: [values.gateway] })
  const reconciler = createReconciler({
    store,
    rollouts,
    audit,
    gateway,
    evidence: metrics.watch(source),
    prometheus,
    metrics,
    runtime,
    registry,
    clock,
    log,
    hooks,
  })
  const { nudge } = reconciler
  const where = values.environments
  const settings = await readEnvironmentSettings(stateDir)
  const shared = { store, rollouts, audit, gateway, runtime, registry, clock, log }
  const lifecycle = where && createLifecycle({ ...shared, where, host: values['gateway-host'], settings })
  const hasPrometheus = prometheus !== undefined
  const runs = createPipelineStore(store)
  const service = createRolloutService({
    store,
    rollouts,
    audit,
    gateway,
    registry,
    runtime,
    clock,
    nudge,
    hasPrometheus,
    requireFree: lifecycle?.environments.requireFree,
    requireMayStart: requireMayStart(runs),
    requireMayAct: requireMayAct(runs),
  })
  const secret = await readSigningSecret(stateDir)
  const pipeline =
    where &&
    lifecycle &&
    createPipeline({
      ...shared,
      where,
      service,
      environments: lifecycle.environments,
      evidence: source,
      secret,
      modelsDir: values.models,
    })
  const app = await createControllerApp({
    service,
    registry,
    uploads: createUploads(join(stateDir, 'uploads')),
    runtime,
    audit,
    store,
    clock,
    log,
    metrics,
    alerts,
    environments: lifecycle?.environments,
    environmentGates: pipeline?.environmentGates,
    pipelines: pipeline?.pipelines,
  })
  await app.listen({ port: values.port, host: values.host })

  const work = new AbortController()
  stopOnSignals({
    log,
    limitMs: 25_000,
    ownerPid,
    async stop() {
      work.abort()
      await app.close()
      // under an owner the model servers belong to this run; on its own the controller leaves them serving
      if (ownerPid !== undefined) await runtime.stopAll()
      await Promise.all([background, telling])
      store.close()
    },
  })
  const deliverer = createDeliverer({
    outbox,
    addressOf: addressBook(receivers),
    secret,
    onSettled: metrics.delivered,
    clock,
    log,
  })
  const watcher = createRouteWatcher({
    store,
    rollouts,
    gateway,
    evidence: source,
    alerts,
    config: watch,
    clock,
    log,
  })
  const telling = Promise.all([deliverer.run(work.signal), watcher.run(work.signal), alerts.run(work.signal)])
  const seeded =
    values.seed === undefined
      ? Promise.resolve()
      : seedRoute(values.seed, { gateway, registry, where: env.MLFLOW_TRACKING_URI, runtime, log, clock })
  const background = Promise.all([
    runtime.supervise(work.signal),
    reconciler.run(work.signal),
    gateway.watch(work.signal),
    seeded,
    lifecycle?.run(work.signal),
    pipeline?.run(work.signal),
  ])
  await Promise.all([background, telling])
}

main().catch((error: unknown) => {
  process.stderr.write(`weir controller: ${describeProblem(error)}\n`)
  process.exit(error instanceof WeirError && error.statusCode < 500 ? REFUSED_EXIT_CODE : 1)
})
