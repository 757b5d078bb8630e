import cluster, { type Worker as Process } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import type { Log } from '../../lib/log.ts'
import type { ToPrimary, ToWorker } from '../messages.ts'

// Why node:cluster with SCHED_NONE: the primary holds the listening socket and the workers accept from it themselves. So the
// primary's thread, which serves /metrics and the operator API, is not on the way of a connection; a busy or stopped worker takes
// none; and connections that wait while a worker is replaced are not lost, as they would be with a socket per worker (SO_REUSEPORT).

type Start = Extract<ToWorker, { type: 'start' }>

export interface WorkerPoolOptions {
  readonly count: number
  readonly log: Log
  /** What a new worker begins with. */
  readonly startMessage: () => Start
  readonly onMessage: (message: ToPrimary, worker: string) => void
  /** A worker became ready or went away. */
  readonly onChange: () => void
}

export interface WorkerView {
  readonly name: string
  readonly ready: boolean
  /** The last revision it said it applies. */
  readonly revision: number
}

export interface WorkerPool {
  /** Starts the workers; rejects with what the first of them says when it cannot. */
  start(): Promise<void>
  /** Sends to all and resolves with the names of those that did not acknowledge in time; they are replaced. */
  publish(message: Extract<ToWorker, { type: 'policy' }>): Promise<string[]>
  broadcast(message: ToWorker): void
  answer(worker: string, message: ToWorker): void
  list(): WorkerView[]
  restarts(): number
  /** Lets requests finish, then ends the processes; what is not done within the limit is cut off. */
  drain(limitMs: number): Promise<void>
}

interface Member {
  readonly name: string
  readonly process: Process
  ready: boolean
  revision: number
  readonly startedAt: number
}

/**
 * Photos are buffers outside V8's heap, which go when the object that names them does. With the default of 16 MB that is so late
 * that V8 meets its limit for such memory first and collects the whole heap again and again: a third of the processor time of
 * a request with 60 KB.
 */
const SMALL_YOUNG_GENERATION = '--max-semi-space-size=4'
/**
 * A worker has one core. V8's helper threads would take turns with it there, and a collection that waits for them can
 * stop requests for 15 ms and more at a time.
 */
const COLLECT_ALONE = '--single-threaded-gc'
const ACKNOWLEDGE_WITHIN_MS = 1000
const RESTART_DELAYS_MS = [0, 100, 500, 2000, 5000]
/** A worker that lived this long started well: its death says nothing about the next one's start. */
const STEADY_MS = 10_000

function nameOf(index: number): string {
  return `worker-${index}`
}

export function createWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { count, log, startMessage, onMessage, onChange } = options
  const members = new Map<string, Member>()
  const awaiting = new Set<() => void>()
  const timers = new Set<NodeJS.Timeout>()
  let restarts = 0
  let earlyDeaths = 0
  let stopping = false

  cluster.schedulingPolicy = cluster.SCHED_NONE
  const exec = fileURLToPath(new URL('../worker/main.ts', import.meta.url))
  cluster.setupPrimary({
    exec,
    args: [],
    execArgv: [...process.execArgv, SMALL_YOUNG_GENERATION, COLLECT_ALONE],
  })

  function spawn(name: string, onStarted: (problem?: string) => void): void {
    const process = cluster.fork()
    const member: Member = { name, process, ready: false, revision: -1, startedAt: Date.now() }
    members.set(name, member)
    process.on('online', () => process.send(startMessage()))
    process.on('error', error => log.warn({ err: error, worker: name }, 'a message to a worker was lost'))
    process.on('message', (message: ToPrimary) => {
      if (message.type === 'failed') onStarted(message.problem)
      if (message.type === 'ready') {
        member.ready = true
        onStarted()
      }
      if (message.type === 'ready' || message.type === 'ack') {
        member.revision = message.revision
        settle()
      }
      if (message.type === 'ready') onChange()
      onMessage(message, name)
    })
    process.on('exit', (code, signal) => ended(member, code, signal))
  }

  function ended(member: Member, code: number | null, signal: string | null): void {
    if (members.get(member.name) !== member) return
    members.delete(member.name)
    settle()
    onChange()
    if (stopping) return
    restarts++
    earlyDeaths = Date.now() - member.startedAt > STEADY_MS ? 0 : earlyDeaths + 1
    const delayMs = RESTART_DELAYS_MS[Math.min(earlyDeaths, RESTART_DELAYS_MS.length) - 1] ?? 0
    log.error({ worker: member.name, code, signal, delayMs }, 'a worker ended; starting another')
    const timer = setTimeout(() => {
      timers.delete(timer)
      if (!stopping)
        spawn(
          member.name,
          problem => problem && log.error({ worker: member.name, problem }, 'a worker cannot start'),
        )
    }, delayMs)
    timers.add(timer)
  }

  function settle(): void {
    for (const check of awaiting) check()
  }

  /** Those that do not serve by it: they apply an older one, or are being started. */
  function lagging(revision: number): string[] {
    return Array.from({ length: count }, (_, index) => nameOf(index)).filter(name => {
      const member = members.get(name)
      return !member?.ready || member.revision < revision
    })
  }

  function replace(name: string): void {
    const member = members.get(name)
    if (!member?.ready) return // it will begin with the current policy
    log.error({ worker: member.name }, 'a worker did not acknowledge the policy in time; replacing it')
    member.ready = false
    member.process.process.kill('SIGKILL')
  }

  function cutOff(member: Member): void {
    log.warn({ worker: member.name }, 'requests in flight outlived the drain; they are cut off')
    member.process.process.kill('SIGKILL')
  }

  return {
    start: () =>
      Promise.all(
        Array.from(
          { length: count },
          (_, index) =>
            new Promise<void>((resolve, reject) => {
              spawn(nameOf(index), problem =>
                problem === undefined ? resolve() : reject(new Error(problem)),
              )
            }),
        ),
      ).then(() => undefined),
    publish(message) {
      for (const { process } of members.values()) if (process.isConnected()) process.send(message)
      return new Promise(resolve => {
        const finish = (late: string[]) => {
          awaiting.delete(check)
          clearTimeout(timer)
          resolve(late)
        }
        const check = () => {
          if (lagging(message.revision).length === 0) finish([])
        }
        const timer = setTimeout(() => {
          const late = lagging(message.revision)
          late.forEach(replace)
          finish(late)
        }, ACKNOWLEDGE_WITHIN_MS)
        awaiting.add(check)
        check()
      })
    },
    broadcast(message) {
      for (const { process } of members.values()) if (process.isConnected()) process.send(message)
    },
    answer(worker, message) {
      const process = members.get(worker)?.process
      if (process?.isConnected()) process.send(message)
    },
    list: () => [...members.values()].map(({ name, ready, revision }) => ({ name, ready, revision })),
    restarts: () => restarts,
    async drain(limitMs) {
      stopping = true
      for (const timer of timers) clearTimeout(timer)
      const ending = [...members.values()].map(
        ({ process }) => new Promise<void>(resolve => process.once('exit', () => resolve())),
      )
      for (const { process } of members.values())
        if (process.isConnected()) process.send({ type: 'drain' } satisfies ToWorker)
      const timer = setTimeout(() => [...members.values()].forEach(cutOff), limitMs)
      await Promise.all(ending)
      clearTimeout(timer)
    },
  }
}
