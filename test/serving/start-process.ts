import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { LEAN_ENV, LEAN_FLAGS } from '../../lib/lean-memory.ts'

const MAIN = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))

export interface Running {
  readonly child: ChildProcess
  readonly exited: Promise<readonly [code: number | null, signal: NodeJS.Signals | null]>
  /** The first log line whose message begins so. */
  readonly line: (message: string) => Promise<Record<string, string>>
  readonly stderr: () => string
}

interface ProcessSetting {
  readonly env?: Readonly<Record<string, string>>
  /** Of Node itself. */
  readonly flags?: readonly string[]
  /** A program that runs it. */
  readonly under?: readonly string[]
}

/** As `weir serve` starts it. */
export const LEAN: ProcessSetting = { env: LEAN_ENV, flags: LEAN_FLAGS }

/** `weir serve` as a process of its own, `under` another program if one is named; it is killed with the test. */
export function startProcess(
  t: Test,
  args: readonly string[],
  { env = {}, flags = [], under = [] }: ProcessSetting = {},
): Running {
  const [program = '', ...rest] = [...under, process.execPath, ...flags, MAIN, ...args]
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...COMPILE_CACHE, ...env },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const seen: Record<string, string>[] = []
  const waiting: (() => void)[] = []
  createInterface({ input: child.stdout }).on('line', text => {
    seen.push(JSON.parse(text) as Record<string, string>)
    for (const wake of waiting.splice(0)) wake()
  })
  let stderr = ''
  child.stderr.on('data', chunk => (stderr += String(chunk)))
  async function line(message: string): Promise<Record<string, string>> {
    for (;;) {
      const found = seen.find(({ msg }) => msg?.startsWith(message))
      if (found) return found
      await new Promise<void>(resolve => waiting.push(resolve))
    }
  }
  return { child, line, stderr: () => stderr, exited: once(child, 'exit') as unknown as Running['exited'] }
}
