import { readFileSync } from 'node:fs'

// What a process and all its children use, from /proc: a proxy may be one process, or a primary with workers.

/** Processor time so far, in microseconds, of the user and the system. The clock ticks at 100 Hz. */
export function cpuMicros(pid: number): number {
  return sum(treeOf(pid), ownCpuMicros)
}

/** Of this process alone, without its children. */
export function ownCpuMicros(pid: number): number {
  const fields = fieldsOf(pid)
  return (Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS])) * MICROS_PER_TICK
}

export function residentBytes(pid: number): number {
  return sum(treeOf(pid), process => {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${process}/status`, 'utf8'))?.[1]
    return Number(kib) * 1024
  })
}

/** Processor time of this process and of all its children that have ended, and of the whole machine. */
export function machineMicros(): { ours: number; all: number } {
  const fields = fieldsOf('self')
  const ours = [USER_TICKS, SYSTEM_TICKS, CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS]
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .split(/ +/)
    .slice(1)
    .map(Number)
  return {
    ours: ours.reduce((total, index) => total + Number(fields[index]), 0) * MICROS_PER_TICK,
    all: (user + nice + system + irq + softirq + steal) * MICROS_PER_TICK,
  }
}

/** Fields 14 to 17 of proc_pid_stat(5), counted from the one after the name. */
const USER_TICKS = 11
const SYSTEM_TICKS = 12
const CHILDREN_USER_TICKS = 13
const CHILDREN_SYSTEM_TICKS = 14
const MICROS_PER_TICK = 10_000

function fieldsOf(pid: number | 'self'): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ') // the name may contain spaces
}

function treeOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
  return [pid, ...children.flatMap(child => treeOf(Number(child)))]
}

function sum(pids: readonly number[], valueOf: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + valueOf(pid), 0)
}
