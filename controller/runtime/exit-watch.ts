import type { ChildProcess } from 'node:child_process'
import { causeOfEnding, describeEnding } from '../../contract/exit-record.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { countOomKills } from '../../lib/oom-kills.ts'
import { memoryOf } from '../../lib/process-memory.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { createExitLog, isToldAlready } from './exit-log.ts'
import type { DeploymentFacts, SeenExit } from './facts.ts'
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
  recorded: Promise<void> | undefined
}

/** Sees how processes end that nobody asked to end, and writes it into their log. */
export function createExitWatch({ clock, log }: ExitWatchOptions) {
  const exitLog = createExitLog()
  const watched = new Map<number, Watched>()

  function watch({ deployment, logFile }: Logged, pid: number, child?: ChildProcess): Watched {
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
      recorded: undefined,
    }
    watched.set(pid, entry)
    return entry
  }

  async function writeExit(pid: number, entry: Watched): Promise<void> {
    const { child, since, peakBytes, oomKills, logFile } = entry
    if (isToldAlready(await exitLog.exits(logFile, since), pid)) return
    const code = child?.exitCode ?? null
    const signal = child?.signalCode ?? null
    const seen = code !== null || signal !== null
    const cause = seen ? causeOfEnding(signal, { before: oomKills[0], after: countOomKills() }) : 'unknown'
    const reason = seen ? describeEnding({ code, signal }, cause) : 'ended while nobody watched'
    await write(entry, { pid, cause, code, signal, peakBytes, limitBytes: null, reason, at: clock.now() })
  }

  async function write({ deployment, logFile }: Logged, exit: SeenExit): Promise<void> {
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

  return {
    began(logged: Logged, pid: number, child: ChildProcess): void {
      const entry = watch(logged, pid, child)
      child.once('exit', () => void ended(pid, entry).finally(() => watched.delete(pid)))
    },
    /** It is going to be ended by us. */
    expect(pid: number): void {
      const entry = watched.get(pid)
      if (entry) entry.expected = true
    },
    /** To be called again and again while it runs. */
    async look(logged: Logged, pid: number): Promise<void> {
      const entry = watched.get(pid) ?? watch(logged, pid)
      entry.oomKills = [entry.oomKills[1], countOomKills()]
      entry.peakBytes = (await memoryOf(pid))?.peakBytes ?? entry.peakBytes
    },
    /** It is about to be killed for its memory. Written down before: whoever looks after it next finds the cause. */
    async overLimit(logged: Logged, pid: number, over: OverLimit): Promise<void> {
      const entry = watched.get(pid) ?? watch(logged, pid)
      if (isToldAlready(await exitLog.exits(logged.logFile, entry.since), pid)) return
      const { peakBytes, limitBytes, reason } = over
      const how = { code: null, signal: 'SIGKILL', peakBytes, limitBytes, reason }
      await write(logged, { pid, cause: 'memory-limit', ...how, at: clock.now() })
    },
    /** A process was found to be gone: of an earlier controller's no event tells. */
    async foundGone(logged: Logged, pid: number): Promise<void> {
      await ended(pid, watched.get(pid) ?? watch(logged, pid))
      watched.delete(pid)
    },
    /** Of all processes of a deployment; `since`: when it was deployed, their logs may be those of an earlier one, too. */
    async facts(all: readonly (Logged & { pid: number | null })[], since: number): Promise<DeploymentFacts> {
      const started = all.flatMap(({ pid, ...logged }) => (pid === null ? [] : [{ pid, logged }]))
      const gone = started.filter(({ pid }) => hasExited(watched.get(pid)?.child) || !isAlive(pid))
      await Promise.all(gone.map(({ pid, logged }) => ended(pid, watched.get(pid) ?? watch(logged, pid))))
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

function hasExited(child: ChildProcess | undefined): boolean {
  return child !== undefined && (child.exitCode !== null || child.signalCode !== null)
}
