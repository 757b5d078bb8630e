import { readFile } from 'node:fs/promises'

export interface ProcessMemory {
  readonly residentBytes: number
  /** The most that was ever resident. */
  readonly peakBytes: number
}

/**
 * Undefined when the process has ended, or the system does not tell.
 * https://man7.org/linux/man-pages/man5/proc_pid_status.5.html: VmRSS and VmHWM.
 */
export async function memoryOf(pid: number): Promise<ProcessMemory | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const [resident, peak] = [kibOf(status, 'VmRSS'), kibOf(status, 'VmHWM')]
  if (resident === undefined || peak === undefined) return undefined
  return { residentBytes: resident * 1024, peakBytes: peak * 1024 }
}

function kibOf(status: string, field: string): number | undefined {
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? []
  return kib === undefined ? undefined : Number(kib)
}
