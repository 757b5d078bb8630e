import { readdir, readFile } from 'node:fs/promises'

/** Of all processes of these groups; pages that they share count once. Undefined where the system does not tell. */
export async function groupResidentBytes(...groupIds: readonly number[]): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined
  const members = (await allProcesses()).filter(({ group }) => groupIds.includes(group))
  const sizes = await Promise.all(members.map(({ pid }) => shareOfMemory(pid)))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** The groups that a process began for what it started. */
export async function groupsOfChildren(parentPid: number): Promise<number[]> {
  const children = (await allProcesses()).filter(({ parent }) => parent === parentPid)
  return [...new Set(children.map(({ group }) => group))]
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly group: number
}

/** Empty where the system does not tell. */
async function allProcesses(): Promise<Process[]> {
  if (process.platform !== 'linux') return []
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(pids.map(async pid => describeProcess(Number(pid))))
  return found.filter(one => one !== undefined)
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the fields after the name in parentheses. */
async function describeProcess(pid: number): Promise<Process | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined) // it has just ended
  const [, parent, group] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  return parent === undefined ? undefined : { pid, parent: Number(parent), group: Number(group) }
}

async function shareOfMemory(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '') // it has just ended
  const [, kib] = /^Pss:\s+(\d+) kB/m.exec(rollup) ?? []
  return Number(kib ?? 0) * 1024
}

/** False when no process of the group is left. */
export function signalGroup(groupId: number, signal: NodeJS.Signals): boolean {
  return signalProcess(-groupId, signal)
}

/** False when there is no such process any more. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
