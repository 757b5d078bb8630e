import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { causeOfEnding, describeEnding } from '../../contract/exit-record.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { countOomKills } from '../../lib/oom-kills.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { createExitLog, isToldAlready } from './exit-log.ts'
import type { DeploymentFacts, SeenExit } from './facts.ts'

interface ExitWatchOptions {
  readonly fileOf: (id: string) => string
  readonly clock: Clock
  readonly log: Log
}

interface Watched {
  readonly id: string
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

/** Sees how processes end that nobody asked to end, and writes it into their deployment's log. */
export function createExitWatch({ fileOf, clock, log }: ExitWatchOptions) {
  const exitLog = createExitLog(fileOf)
  const watched = new Map<number, Watched>()

  function watch(id: string, pid: number, child?: ChildProcess): Watched {
    const kills = countOomKills()
    const oomKills = [kills, kills] as const
    const entry: Watched = {
      id,
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

  async function writeExit(pid: number, { id, child, since, peakBytes, oomKills }: Watched): Promise<void> {
    if (isToldAlready(await exitLog.exits(id, since), pid)) return
    const code = child?.exitCode ?? null
    const signal = child?.signalCode ?? null
    const seen = code !== null || signal !== null
    const cause = seen ? causeOfEnding(signal, { before: oomKills[0], after: countOomKills() }) : 'unknown'
    const reason = seen ? describeEnding({ code, signal }, cause) : 'ended while nobody watched'
    const exit: SeenExit = { pid, cause, code, signal, peakBytes, limitBytes: null, reason, at: clock.now() }
    await exitLog.append(id, exit)
    log.warn({ deployment: id, exit }, 'a model server ended')
  }

  /** Once a process, whoever notices first. */
  function ended(pid: number, entry: Watched): Promise<void> {
    if (entry.expected) return Promise.resolve()
    return (entry.recorded ??= writeExit(pid, entry).catch((error: unknown) => {
      log.error({ err: error, deployment: entry.id, pid }, 'an exit could not be recorded')
    }))
  }

  return {
    began(id: string, pid: number, child: ChildProcess): void {
      const entry = watch(id, pid, child)
      child.once('exit', () => void ended(pid, entry).finally(() => watched.delete(pid)))
    },
    /** It is going to be ended by us. */
    expect(pid: number): void {
      const entry = watched.get(pid)
      if (entry) entry.expected = true
    },
    /** To be called again and again while it runs. */
    async look(id: string, pid: number): Promise<void> {
      const entry = watched.get(pid) ?? watch(id, pid)
      entry.oomKills = [entry.oomKills[1], countOomKills()]
      entry.peakBytes = (await peakBytesOf(pid)) ?? entry.peakBytes
    },
    /** A process was found to be gone: of an earlier controller's no event tells. */
    async foundGone(id: string, pid: number): Promise<void> {
      await ended(pid, watched.get(pid) ?? watch(id, pid))
      watched.delete(pid)
    },
    /** `since`: when it was deployed; the log may be that of an earlier deployment, too. */
    async facts(id: string, pids: readonly number[], since: number): Promise<DeploymentFacts> {
      const gone = pids.filter(pid => hasExited(watched.get(pid)?.child) || !isAlive(pid))
      await Promise.all(gone.map(pid => ended(pid, watched.get(pid) ?? watch(id, pid))))
      const running = pids.filter(pid => !gone.includes(pid))
      const peaks = await Promise.all(running.map(peakBytesOf))
      const exits = await exitLog.exits(id, since)
      const peakBytes = Math.max(
        0,
        ...peaks.map(peak => peak ?? 0),
        ...exits.map(exit => exit.peakBytes ?? 0),
      )
      return { running: running.length > 0, exits, peakBytes: peakBytes === 0 ? null : peakBytes }
    },
  }
}

function hasExited(child: ChildProcess | undefined): boolean {
  return child !== undefined && (child.exitCode !== null || child.signalCode !== null)
}

/** https://man7.org/linux/man-pages/man5/proc_pid_status.5.html: VmHWM, the most that was ever resident. */
async function peakBytesOf(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '') // it ended, or the system has no such files
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? []
  return kib === undefined ? undefined : Number(kib) * 1024
}
