import { readdir, readFile } from 'node:fs/promises'

/** Of all processes of a group; pages that they share count once. Undefined where the system does not tell. */
export async function groupResidentBytes(groupId: number): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const sizes = await Promise.all(pids.map(pid => residentBytesIn(groupId, pid)))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: the fields after the name in parentheses. */
async function residentBytesIn(groupId: number, pid: string): Promise<number> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const [, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(group) !== groupId) return 0
    const [, kib] = /^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? []
    return Number(kib ?? 0) * 1024
  } catch {
    return 0 // it ended between the two looks
  }
}

/** False when no process of the group is left. */
export function signalGroup(groupId: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-groupId, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
