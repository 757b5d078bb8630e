import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Clock } from '../../lib/clock.ts'
import { isAlive } from '../../lib/shutdown.ts'

const END_LIMIT_MS = 15_000
const LOOK_EVERY_MS = 50

/**
 * Whether the pid still is the program that was started. Pids are used again by the system, and a recorded one may be
 * somebody else's process by now: never signal one without this look.
 */
export async function isOurProcess(pid: number, program: string): Promise<boolean> {
  if (!isAlive(pid)) return false
  return (await commandLine(pid)).includes(program)
}

async function commandLine(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') // gone between the two looks
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }))
  return stdout
}

/** Asks the process to end, waits until it has drained, and kills it when it takes longer than the limit. */
export async function endProcess(pid: number, program: string, clock: Clock): Promise<void> {
  if (!(await isOurProcess(pid, program))) return
  process.kill(pid, 'SIGTERM')
  const limit = clock.now() + END_LIMIT_MS
  while (await isOurProcess(pid, program)) {
    if (clock.now() > limit) {
      process.kill(pid, 'SIGKILL')
      return
    }
    await clock.sleep(LOOK_EVERY_MS)
  }
}
