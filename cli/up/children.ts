import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { REFUSED_EXIT_CODE } from '../../lib/shutdown.ts'

export interface ChildOptions {
  readonly name: string
  /** Path of the program inside the project. */
  readonly program: string
  readonly args: readonly string[]
  readonly logFile: string
  readonly env?: Readonly<Record<string, string>>
  readonly onRestart: (message: string) => void
  /** It refused to start or ended too often in a row before everything was up: there is no point in going on. */
  readonly onGiveUp: (message: string) => void
}

export interface SupervisedChild {
  /** Others serve users from now on: it is never given up again, which would take those along. */
  keepTrying(): void
  stop(): Promise<void>
}

const MAX_RESTARTS = 5
/** One that ends by itself sooner than this has said why it cannot start; trying again would not change that. */
const STARTED_MS = 3000
/** A child that ran this long has started well; earlier deaths are forgotten. */
const STEADY_MS = 60_000
const STOP_LIMIT_MS = 30_000
const MAX_DELAY_MS = 10_000
const MAX_COMPLAINT_CHARS = 1000

/**
 * Keeps one of our programs running. It gets a process group of its own, so that a Ctrl-C in the terminal reaches `weir up`
 * alone, which then stops everything in order.
 */
export function superviseChild(options: ChildOptions): SupervisedChild {
  let restarts = 0
  let stopping = false
  let mayGiveUp = true
  let restartTimer: NodeJS.Timeout | undefined
  let child = start()

  function start(): ChildProcess {
    const startedAt = Date.now()
    const output = openSync(options.logFile, 'a')
    const path = fileURLToPath(new URL(`../../${options.program}`, import.meta.url))
    const env = { ...process.env, ...options.env }
    const started = spawn(process.execPath, [path, ...options.args], {
      detached: true,
      stdio: ['ignore', output, output],
      env,
    })
    closeSync(output)
    started.on('exit', (code, signal) => {
      if (!stopping) void ended(code ?? signal, Date.now() - startedAt)
    })
    return started
  }

  async function ended(how: number | string | null, ranMs: number): Promise<void> {
    restarts = ranMs > STEADY_MS ? 1 : restarts + 1
    const why = await lastComplaint(options.logFile)
    const message = `${options.name} ended (${how})${why === '' ? '' : `: ${why}`}`
    const refusedToStart = how === REFUSED_EXIT_CODE || (typeof how === 'number' && ranMs < STARTED_MS)
    if (mayGiveUp && (refusedToStart || restarts > MAX_RESTARTS)) return options.onGiveUp(message)
    options.onRestart(`${message}; starting it again`)
    restartTimer = setTimeout(
      () => {
        child = start()
      },
      Math.min(200 * 2 ** restarts, MAX_DELAY_MS),
    )
  }

  return {
    keepTrying() {
      mayGiveUp = false
    },
    async stop() {
      stopping = true
      clearTimeout(restartTimer)
      if (child.exitCode !== null || child.signalCode !== null) return
      const kill = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
      await new Promise<void>(resolve => {
        child.once('exit', () => resolve())
        child.kill('SIGTERM')
      })
      clearTimeout(kill)
    },
  }
}

/** What it said last, if that was a complaint: plain text on its standard error, or a log line at level error or above. */
async function lastComplaint(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '') // without a log there is nothing to add
  const line = text.trim().split('\n').at(-1)?.slice(0, MAX_COMPLAINT_CHARS) ?? ''
  if (!line.startsWith('{')) return line
  const [, level = '0', message = ''] = /"level":(\d+).*"msg":"([^"]*)"/.exec(line) ?? []
  return Number(level) >= 50 ? message : ''
}
