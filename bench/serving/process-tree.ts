import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessTree {
  readonly pids: readonly number[]
  readonly cpuSeconds: number
  /** What is private to each process, and once what the largest shares: forks of one program are not counted twice. */
  readonly residentMiB: number
}

/** USER_HZ, in which /proc counts on every Linux architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** A process and its descendants, by Linux's /proc. Those that end while they are read are left out. */
export function readProcessTree(root: number): ProcessTree {
  const all = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  const processes = all.map(name => readProcess(Number(name))).filter(one => one !== undefined)
  const tree = processes.filter(({ pid }) => pid === root)
  for (const { pid } of tree) tree.push(...processes.filter(({ parent }) => parent === pid))
  const memory = tree.map(({ pid }) => readMemory(pid)).filter(one => one !== undefined)
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  const kib = sum(memory.map(one => one.private)) + Math.max(0, ...memory.map(one => one.shared))
  return {
    pids: tree.map(({ pid }) => pid),
    cpuSeconds: sum(tree.map(({ ticks }) => ticks)) / TICKS_PER_SECOND,
    residentMiB: kib / 1024,
  }
}

function readProcess(pid: number): { pid: number; parent: number; ticks: number } | undefined {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // the name before the last bracket may hold anything; the state is field 3 of proc_pid_stat(5)
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { pid, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
}

function readMemory(pid: number): { private: number; shared: number } | undefined {
  const text = read(`/proc/${pid}/smaps_rollup`)
  if (text === undefined) return undefined
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return {
    private: kib('Private_Clean') + kib('Private_Dirty'),
    shared: kib('Shared_Clean') + kib('Shared_Dirty'),
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined // it has ended
    throw error
  }
}
