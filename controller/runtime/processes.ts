import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { freePort, tryPort } from '../../lib/ports.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { Store } from '../store.ts'
import { createDeploymentTable, type ProcessRow } from './deployment-table.ts'
import { createExitWatch } from './exit-watch.ts'
import type { DeploymentObserver } from './facts.ts'
import { createLogFiles } from './log-files.ts'
import { readLines } from './log-lines.ts'
import { createMemoryWatch, killWithChildren } from './memory-watch.ts'
import { createMemoryLimits } from './memory-limits.ts'
import { endProcess, isOurProcess } from './process-identity.ts'
import { statusOf } from './process-status.ts'
import type { Deployment, DeploymentSpec, DeploymentStatus, Runtime } from './runtime.ts'
import { marksOf, spawnServer } from './spawn-server.ts'

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

const MAX_PROCESSES = 100
const SUPERVISE_INTERVAL_MS = 500
const DYING_LIMIT_MS = 3000
const PORT_LOOK_EVERY_MS = 100
const RESTART_DELAY_LIMIT_MS = 30_000
const SWEEP_EVERY_MS = 60_000

/**
 * Model servers as processes of this machine. They outlive the controller: what they are, their ports and pids are in the store,
 * and a controller that starts again adopts them.
 */
export function createProcessRuntime(options: ProcessRuntimeOptions): Runtime & DeploymentObserver {
  const { registry, stateDir, host, clock, log } = options
  const table = createDeploymentTable(options.store)
  const starting = new Set<string>()
  const ending = new Map<string, Promise<void>>()
  const restarts = new Map<string, { attempts: number; notBefore: number }>()
  const logs = createLogFiles(join(stateDir, 'logs', 'models'))
  const endpointOf = (row: ProcessRow) => `http://${host}:${row.port}`
  const loggedOf = (row: ProcessRow) => ({ deployment: row.deployment, logFile: logs.of(row) })
  const exits = createExitWatch({ clock, log })
  const limits = createMemoryLimits(registry)
  const memory = createMemoryWatch({ clock })
  const wantedOf = (id: string) => table.of(id).filter(isWanted)
  const isOurs = async ({ port }: ProcessRow, pid: number) => isOurProcess(pid, marksOf({ host, port }))
  const endServer = async ({ port }: ProcessRow, pid: number) =>
    endProcess(pid, marksOf({ host, port }), clock)

  /** Once at a time: supervision, too, looks at a process that is about to be started, and has no pid yet. */
  async function start(row: ProcessRow): Promise<void> {
    const { deployment, version, port, drill } = row
    starting.add(keyOf(row))
    try {
      const dir = await registry.fetch(row.model, version)
      await limits.learn(row, dir)
      const now = table.get(row)
      if (now === undefined || !isWanted(now)) return // stopped while its version was fetched
      const { ownerPid } = options
      const onError = (err: Error) => log.error({ err, deployment, port }, 'could not start a model server')
      const logFile = logs.prepare(row)
      const onSpawned = (child: ChildProcess) => {
        const { pid } = child
        table.setPid(row, pid ?? null)
        if (pid !== undefined) exits.began({ deployment, logFile }, pid, child)
        log.info({ deployment, version, port, pid }, 'started a model server')
      }
      spawnServer({ dir, host, port, drill, ownerPid, logFile, onError, onSpawned })
    } finally {
      starting.delete(keyOf(row))
    }
  }

  async function end(row: ProcessRow): Promise<void> {
    const { deployment, port, pid } = row
    if (pid !== null) {
      exits.expect(loggedOf(row), pid)
      await endServer(row, pid)
    }
    table.remove(row)
    if (pid !== null) memory.forget(pid)
    limits.forget(row)
    restarts.delete(keyOf(row))
    log.info({ deployment, port }, 'stopped a model server')
  }

  /** One that takes its time to drain keeps nobody else waiting. */
  function endInTheBackground(row: ProcessRow): void {
    const key = keyOf(row)
    if (ending.has(key)) return
    const ended = end(row)
      .catch((error: unknown) => lookingAfterFailed(row, error))
      .finally(() => ending.delete(key))
    ending.set(key, ended)
  }

  function lookingAfterFailed({ deployment, port }: ProcessRow, err: unknown): void {
    log.error({ err, deployment, port }, 'looking after a model server failed')
  }

  async function restartIfDead(row: ProcessRow): Promise<void> {
    const key = keyOf(row)
    // what has ended is found gone before we are told how, which is to be known first
    if (row.pid !== null && (exits.isRunning(loggedOf(row), row.pid) ?? (await isOurs(row, row.pid))))
      return lookAfter(row, row.pid)
    if (row.pid !== null) await foundGone(row, row.pid)
    const known = restarts.get(key) ?? { attempts: 0, notBefore: 0 }
    if (clock.now() < known.notBefore) return
    const delay = Math.min(RESTART_DELAY_LIMIT_MS, 500 * 2 ** known.attempts)
    restarts.set(key, { attempts: known.attempts + 1, notBefore: clock.now() + delay })
    const { deployment, pid } = row
    log.warn({ deployment, pid, attempt: known.attempts + 1 }, 'a model server is not running, starting it')
    // its version may have to be fetched first, which keeps nobody else waiting
    start(row).catch((error: unknown) => lookingAfterFailed(row, error))
  }

  async function lookAfter(row: ProcessRow, pid: number): Promise<void> {
    const logged = loggedOf(row)
    await exits.look(logged, pid)
    const limit = await limits.of(row)
    const over = limit === null ? undefined : await memory.look(pid, limit)
    if (over === undefined) return
    if (await killWithChildren(pid, async () => isOurs(row, pid))) exits.killed(logged, pid, over)
  }

  async function foundGone(row: ProcessRow, pid: number): Promise<void> {
    memory.forget(pid)
    limits.forget(row) // a version may be another by now
    await exits.foundGone(loggedOf(row), pid)
  }

  /** A port that somebody else took while we were away is said at the start: what answers there is not our version. */
  async function requirePorts(): Promise<void> {
    for (const row of table.all().filter(isWanted)) {
      if (row.pid !== null && (await isOurs(row, row.pid))) continue
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
    for (const listed of table.all()) {
      try {
        await limitLog(listed)
        const row = table.get(listed) // as it is now: the list may be older than its process
        if (row === undefined || starting.has(keyOf(row))) continue
        if (isWanted(row)) await restartIfDead(row)
        else if (row.stopAt !== null && row.stopAt <= clock.now()) endInTheBackground(row)
      } catch (error) {
        lookingAfterFailed(listed, error)
      }
    }
  }

  /** Whatever becomes of it, its process is looked after. */
  async function limitLog(row: ProcessRow): Promise<void> {
    await logs.limit(logs.of(row)).catch((err: unknown) => {
      log.error({ err, deployment: row.deployment }, 'a log could not be begun anew')
    })
  }

  async function sweepLogs(): Promise<void> {
    await logs.sweep(table.all().map(logs.of)).catch((err: unknown) => {
      log.error({ err }, 'old logs could not be removed')
    })
  }

  /** Those that were to stop stay, as far as their time has not come; the others are new. */
  async function add(like: Like, count: number, ports: readonly number[] = []): Promise<void> {
    if (count <= 0) return
    const stopping = table.of(like.deployment).filter(row => !isWanted(row) && !ending.has(keyOf(row)))
    const spared = stopping.slice(0, count)
    for (const row of spared) table.keep(row)
    for (let index = spared.length; index < count; index++) await start(await addRow(like, ports[index]))
  }

  async function addRow(like: Like, port: number | undefined): Promise<ProcessRow> {
    const rows = table.all()
    if (rows.length >= MAX_PROCESSES)
      throw new WeirError('conflict', `${MAX_PROCESSES} model servers run already`)
    const taken = new Set(rows.map(row => row.port))
    const free = port ?? (await freePort(host, options.firstPort, taken))
    const { deployment, model, version, drill, memoryLimitMiB } = like
    const number = (table.of(deployment).at(-1)?.number ?? -1) + 1
    const asLike = { deployment, model, version, drill, memoryLimitMiB }
    return table.add({ ...asLike, number, port: free, createdAt: clock.now() })
  }

  async function deploy(spec: DeploymentSpec): Promise<{ endpoints: readonly string[] }> {
    const { id, instances = 1, drill = null, ports = [], memoryLimitMiB = null } = spec
    const { model, version } = spec.version
    const rows = table.of(id)
    const like = rows[0] ?? { deployment: id, model, version, drill, memoryLimitMiB }
    const unused = ports.filter(port => rows.every(row => row.port !== port))
    await add(like, instances - rows.filter(isWanted).length, unused)
    return { endpoints: wantedOf(id).map(endpointOf) }
  }

  async function scale(id: string, instances: number, afterMs = 0): Promise<void> {
    const [like] = table.of(id)
    if (like === undefined) throw new WeirError('conflict', `there is no deployment "${id}" to scale`)
    const wanted = wantedOf(id)
    for (const row of wanted.slice(instances)) table.stopAt(row, clock.now() + afterMs)
    await add(like, instances - wanted.length)
  }

  async function status(id: string): Promise<DeploymentStatus> {
    const wanted = wantedOf(id)
    if (wanted.length === 0) return table.of(id).length > 0 ? { kind: 'stopping' } : { kind: 'absent' }
    const found = await statusOf(wanted.map(endpointOf))
    if (found.kind === 'ready') for (const row of wanted) restarts.delete(keyOf(row))
    return found
  }

  function list(): Deployment[] {
    const byId = Map.groupBy(table.all(), row => row.deployment)
    return [...byId].flatMap(([id, rows]) => {
      const [first] = rows
      if (first === undefined) return []
      const { model, version, drill } = first
      return { id, model, version, endpoints: rows.map(endpointOf), drilled: drill !== null }
    })
  }

  return {
    deploy,
    scale,
    limitMemory: table.limitMemory,
    status,
    list,
    async facts(id) {
      const rows = wantedOf(id)
      if (rows.length === 0) return undefined
      const since = Math.min(...rows.map(({ createdAt }) => createdAt))
      return exits.facts(
        rows.map(row => ({ ...loggedOf(row), pid: row.pid })),
        since,
      )
    },
    at: endpoint => list().find(({ endpoints }) => endpoints.includes(endpoint)),
    stop(id, afterMs = 0) {
      const at = clock.now() + afterMs
      for (const row of table.of(id)) if (isWanted(row) || (row.stopAt ?? 0) > at) table.stopAt(row, at)
    },
    logs: async (model, version, question) => readLines(await logs.find(model, version), question),
    async supervise(signal) {
      await requirePorts()
      let sweepAt = 0
      while (!signal.aborted) {
        await superviseOnce()
        if (clock.now() >= sweepAt) {
          sweepAt = clock.now() + SWEEP_EVERY_MS
          await sweepLogs()
        }
        await clock.sleep(SUPERVISE_INTERVAL_MS, signal)
      }
      await Promise.all(ending.values())
    },
    async stopAll() {
      const running = table.all().flatMap(row => (row.pid === null ? [] : [{ row, pid: row.pid }]))
      for (const { row, pid } of running) exits.expect(loggedOf(row), pid)
      await Promise.all(running.map(({ row, pid }) => endServer(row, pid)))
      for (const { row } of running) table.setPid(row, null)
    },
  }
}

type Like = Pick<ProcessRow, 'deployment' | 'model' | 'version' | 'drill' | 'memoryLimitMiB'>

function isWanted({ stopAt }: ProcessRow): boolean {
  return stopAt === null
}

function keyOf({ deployment, number }: Pick<ProcessRow, 'deployment' | 'number'>): string {
  return `${deployment}/${number}`
}
