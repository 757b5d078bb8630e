import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Clock } from '../../lib/clock.ts'
import { isAlive } from '../../lib/shutdown.ts'

const END_LIMIT_MS = 15_000
const LOOK_EVERY_MS = 50

/**
 * Whether the pid still is what was started: all of these words are in its command line. Pids are used again by the system, and
 * a recorded one may be somebody else's process by now, even another model server: never signal one without this look.
 */
export async function isOurProcess(pid: number, marks: readonly string[]): Promise<boolean> {
  if (!isAlive(pid)) return false
  const line = ` ${await commandLine(pid)} `
  return marks.every(mark => line.includes(` ${mark} `))
}

/** Its arguments with spaces between them; empty when it has gone, or has ended and was not yet waited for. */
async function commandLine(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') // gone between the two looks
    return line.replaceAll('\0', ' ')
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }))
  return stdout.trim()
}

/** Asks the process to end, waits until it has drained, and kills it when it takes longer than the limit. */
export async function endProcess(pid: number, marks: readonly string[], clock: Clock): Promise<void> {
  if (!(await isOurProcess(pid, marks))) return
  process.kill(pid, 'SIGTERM')
  const limit = clock.now() + END_LIMIT_MS
  while (await isOurProcess(pid, marks)) {
    if (clock.now() > limit) {
      process.kill(pid, 'SIGKILL')
      return
    }
    await clock.sleep(LOOK_EVERY_MS)
  }
}
