import type { ChildProcess } from 'node:child_process'
import { causeOfEnding, describeEnding, type ExitRecord } from '../../contract/exit-record.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { countOomKills } from '../../lib/oom-kills.ts'
import { memoryOf } from '../../lib/process-memory.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { createExitLog, isToldAlready } from './exit-log.ts'
import type { DeploymentFacts } from './facts.ts'
import type { OverLimit } from './memory-watch.ts'

interface ExitWatchOptions {
  readonly clock: Clock
  readonly log: Log
}

/** Where a process belongs, and where its exits are written down. */
interface Logged {
  readonly deployment: string
  readonly logFile: string
}

interface Watched extends Logged {
  /** Undefined: an earlier controller started it, and how it ends will not be told to us. */
  readonly child: ChildProcess | undefined
  /** Its own last words come after this. */
  readonly since: number
  peakBytes: number | null
  /** At the last two looks: what the newer one counts may already be this process's own death. */
  oomKills: readonly [older: number | undefined, newer: number | undefined]
  expected: boolean
  /** What it was sent SIGKILL for. */
  killedFor: OverLimit | undefined
  recorded: Promise<void> | undefined
}

/** Sees how processes end that nobody asked to end, and writes it into their log. */
export function createExitWatch({ clock, log }: ExitWatchOptions) {
  const exitLog = createExitLog()
  const watched = new Map<string, Watched>()

  function watch(logged: Logged, pid: number, child?: ChildProcess): Watched {
    const { deployment, logFile } = logged
    const kills = countOomKills()
    const oomKills = [kills, kills] as const
    const entry: Watched = {
      deployment,
      logFile,
      child,
      since: child === undefined ? 0 : clock.now(),
      peakBytes: null,
      oomKills,
      expected: false,
      killedFor: undefined,
      recorded: undefined,
    }
    watched.set(keyOf(logged, pid), entry)
    return entry
  }

  async function writeExit(pid: number, entry: Watched): Promise<void> {
    const { deployment, logFile, since } = entry
    if (isToldAlready(await exitLog.exits(logFile, since), pid)) return
    const exit = { pid, at: clock.now(), ...endingOf(entry) }
    await exitLog.append(logFile, exit)
    log.warn({ deployment, exit }, 'a model server ended')
  }

  /** Once a process, whoever notices first. */
  function ended(pid: number, entry: Watched): Promise<void> {
    if (entry.expected) return Promise.resolve()
    return (entry.recorded ??= writeExit(pid, entry).catch((error: unknown) => {
      log.error({ err: error, deployment: entry.deployment, pid }, 'an exit could not be recorded')
    }))
  }

  function entryOf(logged: Logged, pid: number): Watched {
    return watched.get(keyOf(logged, pid)) ?? watch(logged, pid)
  }

  /** Of a process that we started ourselves: until we are told how it has ended. Undefined: an earlier controller started it. */
  function isRunning(logged: Logged, pid: number): boolean | undefined {
    const child = watched.get(keyOf(logged, pid))?.child
    return child && child.exitCode === null && child.signalCode === null
  }

  return {
    isRunning,
    began(logged: Logged, pid: number, child: ChildProcess): void {
      const entry = watch(logged, pid, child)
      child.once('exit', () => void ended(pid, entry).finally(() => watched.delete(keyOf(logged, pid))))
    },
    /** It is going to be ended by us. */
    expect(logged: Logged, pid: number): void {
      const entry = watched.get(keyOf(logged, pid))
      if (entry) entry.expected = true
    },
    /** To be called again and again while it runs. */
    async look(logged: Logged, pid: number): Promise<void> {
      const entry = entryOf(logged, pid)
      entry.oomKills = [entry.oomKills[1], countOomKills()]
      entry.peakBytes = (await memoryOf(pid))?.peakBytes ?? entry.peakBytes
    },
    /** It was sent SIGKILL for its memory, and ran until then. Whether that is what ended it is seen when it has ended. */
    killed(logged: Logged, pid: number, over: OverLimit): void {
      entryOf(logged, pid).killedFor = over
    },
    /** A process was found to be gone: of an earlier controller's no event tells. */
    async foundGone(logged: Logged, pid: number): Promise<void> {
      await ended(pid, entryOf(logged, pid))
      watched.delete(keyOf(logged, pid))
    },
    /** Of all processes of a deployment; `since`: when it was deployed, their logs may be those of an earlier one, too. */
    async facts(all: readonly (Logged & { pid: number | null })[], since: number): Promise<DeploymentFacts> {
      const started = all.flatMap(({ pid, ...logged }) => (pid === null ? [] : [{ pid, logged }]))
      const gone = started.filter(({ pid, logged }) => !(isRunning(logged, pid) ?? isAlive(pid)))
      await Promise.all(gone.map(({ pid, logged }) => ended(pid, entryOf(logged, pid))))
      const running = started.filter(one => !gone.includes(one))
      const memory = await Promise.all(running.map(async ({ pid }) => memoryOf(pid)))
      const exits = (await Promise.all(all.map(async ({ logFile }) => exitLog.exits(logFile, since))))
        .flat()
        .toSorted((a, b) => a.at - b.at)
      const peakBytes = Math.max(
        0,
        ...memory.map(seen => seen?.peakBytes ?? 0),
        ...exits.map(exit => exit.peakBytes ?? 0),
      )
      return { running: running.length > 0, exits, peakBytes: peakBytes === 0 ? null : peakBytes }
    },
  }
}

/** A pid alone may have been another's before. */
function keyOf({ logFile }: Logged, pid: number): string {
  return `${pid} ${logFile}`
}

/** One that ended by itself just before it was killed has crashed, whatever it was to be killed for. */
function endingOf({ child, killedFor, oomKills, ...seen }: Watched): Omit<ExitRecord, 'pid'> {
  const code = child?.exitCode ?? null
  const signal = child?.signalCode ?? null
  const isTold = code !== null || signal !== null
  if (killedFor !== undefined && (signal === 'SIGKILL' || !isTold)) {
    const { limitBytes, reason } = killedFor
    const peakBytes = Math.max(killedFor.peakBytes, seen.peakBytes ?? 0)
    return { cause: 'memory-limit', code: null, signal: 'SIGKILL', peakBytes, limitBytes, reason }
  }
  const { peakBytes } = seen
  const how = { code, signal, peakBytes, limitBytes: null }
  if (!isTold) return { cause: 'unknown', ...how, reason: 'ended while nobody watched' }
  const cause = causeOfEnding(signal, { before: oomKills[0], after: countOomKills() })
  return { cause, ...how, reason: describeEnding({ code, signal }, cause) }
}
