import type { Clock } from '../../lib/clock.ts'
import { groupResidentBytes, groupsOfChildren, signalGroup, signalProcess } from '../../lib/process-group.ts'
import { memoryOf } from '../../lib/process-memory.ts'

// Model servers end themselves in order when they are over their limit, and end the command of a version that is. One that hangs
// does neither, so the runtime looks from outside and kills.

/** Longer than a server needs to see it itself, and than what loading a model takes for a moment. */
const OVER_FOR_MS = 5000
const MIB = 2 ** 20

export interface MemoryLimit {
  readonly limitMiB: number
  /** Whose setting it is, in words. */
  readonly setBy: string
  /** What a version's own command takes is its command's, not the server's in front of it. */
  readonly ofCommand: boolean
}

/** More was resident than is allowed, all the time. */
export interface OverLimit {
  readonly residentBytes: number
  readonly peakBytes: number
  readonly limitBytes: number
  readonly reason: string
}

interface Known {
  readonly overSince: number | undefined
  readonly peakBytes: number
}

export function createMemoryWatch({ clock }: { readonly clock: Clock }) {
  const known = new Map<number, Known>()
  return {
    /** To be called again and again while it runs. */
    async look(pid: number, { limitMiB, setBy, ofCommand }: MemoryLimit): Promise<OverLimit | undefined> {
      const memory = ofCommand ? await memoryOfCommand(pid) : await memoryOf(pid)
      if (memory === undefined) return undefined // where the system does not tell, the server's own watch must do
      const before = known.get(pid)
      const { residentBytes } = memory
      const peakBytes = Math.max(memory.peakBytes, before?.peakBytes ?? 0)
      const isOver = residentBytes > limitMiB * MIB
      const overSince = isOver ? (before?.overSince ?? clock.now()) : undefined
      known.set(pid, { overSince, peakBytes })
      if (overSince === undefined || clock.now() - overSince < OVER_FOR_MS) return undefined
      const reason = `killed: ${inMiB(residentBytes)} MiB are resident, over the limit of ${limitMiB} (${setBy}) for ${OVER_FOR_MS / 1000} s`
      return { residentBytes, peakBytes, limitBytes: limitMiB * MIB, reason }
    },
    forget: (pid: number) => void known.delete(pid),
  }
}

function inMiB(bytes: number): string {
  return (bytes / MIB).toFixed(0)
}

async function memoryOfCommand(serverPid: number) {
  const groups = await groupsOfChildren(serverPid)
  const residentBytes = await groupResidentBytes(...groups)
  return residentBytes === undefined ? undefined : { residentBytes, peakBytes: residentBytes }
}

/**
 * Kills a server and what it started, at once where it still is ours; false where it had ended by itself. The server first: one
 * that does not hang would start its command again.
 */
export async function killWithChildren(serverPid: number, isOurs: () => Promise<boolean>): Promise<boolean> {
  const groups = await groupsOfChildren(serverPid)
  if (!(await isOurs())) return false
  if (!signalProcess(serverPid, 'SIGKILL')) return false
  for (const group of groups) signalGroup(group, 'SIGKILL')
  return true
}
