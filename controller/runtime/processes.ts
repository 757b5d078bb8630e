import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createServingClient } from '../../client/serving.ts'
import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { leanMemory } from '../../lib/lean-memory.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import { freePort, tryPort } from '../../lib/ports.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { Store } from '../store.ts'
import { createDeploymentTable, type DeploymentRow } from './deployment-table.ts'
import { endProcess, isOurProcess } from './process-identity.ts'
import type { Deployment, DeploymentSpec, DeploymentStatus, Runtime } from './runtime.ts'

export interface ProcessRuntimeOptions {
  readonly store: Store
  readonly registry: VersionLookup
  readonly stateDir: string
  readonly host: string
  readonly firstPort: number
  readonly clock: Clock
  readonly log: Log
  /** The model servers end themselves when this process is gone. */
  readonly ownerPid: number | undefined
}

const SERVING = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))
const MAX_DEPLOYMENTS = 100
const SUPERVISE_INTERVAL_MS = 500
const DYING_LIMIT_MS = 3000
const PORT_LOOK_EVERY_MS = 100
const RESTART_DELAY_LIMIT_MS = 30_000
const LOG_TAIL_BYTES = 64 * 1024

/**
 * Model servers as processes of this machine. They outlive the controller: their ids, ports and pids are in the store, and a
 * controller that starts again adopts them.
 */
export function createProcessRuntime(options: ProcessRuntimeOptions): Runtime {
  const { registry, stateDir, host, clock, log } = options
  const table = createDeploymentTable(options.store)
  const starting = new Set<string>()
  const restarts = new Map<string, { attempts: number; notBefore: number }>()
  const logDir = join(stateDir, 'logs')
  mkdirSync(logDir, { recursive: true })
  const endpointOf = (row: DeploymentRow) => `http://${host}:${row.port}`
  const logFile = (id: string) => join(logDir, `${id}.log`)

  /** Once at a time: supervision, too, looks at a deployment whose process is about to be started, and has no pid yet. */
  async function start(row: DeploymentRow): Promise<void> {
    starting.add(row.id)
    try {
      await spawnServer(row)
    } finally {
      starting.delete(row.id)
    }
  }

  async function spawnServer(row: DeploymentRow): Promise<void> {
    const dir = await registry.fetch(row.model, row.version)
    const args = ['--model', dir, '--host', host, '--port', String(row.port)]
    if (row.drill) args.push('--drill', drillOption(row.drill))
    if (options.ownerPid !== undefined) args.push('--owner-pid', String(options.ownerPid))
    const output = openSync(logFile(row.id), 'a')
    try {
      // a detached process lives on when the controller dies
      const env = { ...process.env, ...COMPILE_CACHE, ...leanMemory(process.env['NODE_OPTIONS']) }
      const child = spawn(process.execPath, [SERVING, ...args], {
        detached: true,
        stdio: ['ignore', output, output],
        env,
      })
      child.on('error', error =>
        log.error({ err: error, deployment: row.id }, 'could not start a model server'),
      )
      child.unref()
      table.setPid(row.id, child.pid ?? null)
      log.info(
        { deployment: row.id, version: row.version, port: row.port, pid: child.pid },
        'started a model server',
      )
    } finally {
      closeSync(output)
    }
  }

  async function end(row: DeploymentRow): Promise<void> {
    if (row.pid !== null) await endProcess(row.pid, SERVING, clock)
    table.remove(row.id)
    restarts.delete(row.id)
    log.info({ deployment: row.id }, 'stopped a model server')
  }

  async function restartIfDead({ id }: DeploymentRow): Promise<void> {
    const row = table.get(id) // as it is now: the list it comes from may be older than its process
    if (row === undefined || starting.has(id)) return
    if (row.pid !== null && (await isOurProcess(row.pid, SERVING))) return
    const known = restarts.get(row.id) ?? { attempts: 0, notBefore: 0 }
    if (clock.now() < known.notBefore) return
    const delay = Math.min(RESTART_DELAY_LIMIT_MS, 500 * 2 ** known.attempts)
    restarts.set(row.id, { attempts: known.attempts + 1, notBefore: clock.now() + delay })
    log.warn(
      { deployment: row.id, pid: row.pid, attempt: known.attempts + 1 },
      'a model server is not running, starting it',
    )
    await start(row)
  }

  /** A port that somebody else took while we were away is said at the start: what answers there is not our version. */
  async function requirePorts(): Promise<void> {
    for (const row of table.all()) {
      if (row.stopAt !== null) continue // it goes anyway
      if (row.pid !== null && (await isOurProcess(row.pid, SERVING))) continue
      const error = await portProblem(row.port)
      if (error) throw error
    }
  }

  /** A process that has just died may hold its port for a moment. */
  async function portProblem(port: number): Promise<Error | undefined> {
    const until = clock.now() + DYING_LIMIT_MS
    for (;;) {
      const error = await tryPort(host, port)
      if (error === undefined || clock.now() > until) return error
      await clock.sleep(PORT_LOOK_EVERY_MS)
    }
  }

  async function superviseOnce(): Promise<void> {
    for (const row of table.all()) {
      try {
        if (row.stopAt === null) await restartIfDead(row)
        else if (row.stopAt <= clock.now()) await end(row)
      } catch (error) {
        log.error({ err: error, deployment: row.id }, 'looking after a model server failed')
      }
    }
  }

  async function deploy(spec: DeploymentSpec): Promise<{ endpoint: string }> {
    const existing = table.get(spec.id)
    if (existing) {
      table.keep(existing.id)
      return { endpoint: endpointOf(existing) }
    }
    const rows = table.all()
    if (rows.length >= MAX_DEPLOYMENTS)
      throw new WeirError('conflict', `${MAX_DEPLOYMENTS} deployments run already`)
    const taken = new Set(rows.map(row => row.port))
    const port = spec.port ?? (await freePort(host, options.firstPort, taken))
    const { model, version } = spec.version
    const row = table.add({
      id: spec.id,
      model,
      version,
      drill: spec.drill ?? null,
      port,
      createdAt: clock.now(),
    })
    await start(row)
    return { endpoint: endpointOf(row) }
  }

  async function status(id: string): Promise<DeploymentStatus> {
    const row = table.get(id)
    if (!row) return { kind: 'absent' }
    const endpoint = endpointOf(row)
    const client = createServingClient({ baseUrl: endpoint })
    const readiness = await client.ready()
    if (readiness.state === 'not-ready' && readiness.code === 'model_refused')
      return { kind: 'refused', endpoint, reason: readiness.reason }
    if (readiness.state !== 'ready') return { kind: 'starting', endpoint, reason: readiness.reason }
    try {
      const { digest } = await client.version()
      restarts.delete(id)
      return { kind: 'ready', endpoint, digest }
    } catch (error) {
      return { kind: 'starting', endpoint, reason: describeProblem(error) } // it went away between the two questions
    }
  }

  const list = (): Deployment[] =>
    table.all().map(row => ({
      id: row.id,
      model: row.model,
      version: row.version,
      endpoint: endpointOf(row),
      drilled: row.drill !== null,
    }))

  return {
    deploy,
    status,
    list,
    at: endpoint => list().find(deployment => deployment.endpoint === endpoint),
    stop: (id, afterMs = 0) => table.stopAt(id, clock.now() + afterMs),
    async logs(id) {
      const text = await readFile(logFile(id), 'utf8').catch(() => '') // a deployment that never started has no log
      return text.slice(-LOG_TAIL_BYTES)
    },
    async supervise(signal) {
      await requirePorts()
      while (!signal.aborted) {
        await superviseOnce()
        await clock.sleep(SUPERVISE_INTERVAL_MS, signal)
      }
    },
    async stopAll() {
      const running = table.all().filter(row => row.pid !== null)
      await Promise.all(
        running.map(row => (row.pid === null ? undefined : endProcess(row.pid, SERVING, clock))),
      )
      for (const row of running) table.setPid(row.id, null)
    },
  }
}

function drillOption(drill: NonNullable<DeploymentRow['drill']>): string {
  return Object.entries(drill)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
