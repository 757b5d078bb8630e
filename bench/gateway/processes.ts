import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { Readable } from 'node:stream'

/** Everything the bench starts, so that nothing outlives it. */
export interface Processes {
  /** Runs in the background until it is stopped. Returns its process id. */
  start(cores: string, command: string, args: readonly string[]): number
  /** Runs to its end and gives what it printed; rejects with its errors when it fails. */
  run(cores: string, command: string, args: readonly string[]): Promise<string>
  stop(pids: readonly number[]): Promise<void>
  stopAll(): Promise<void>
}

/** Where the proxies run, one at a time. */
export const PROXY_CORE = '0'
/** Where upstream and load run, so that neither takes time from a proxy. */
export const LOAD_CORE = availableParallelism() > 1 ? '1' : '0'

/** util-linux: holds a process to cores. */
const PIN = 'taskset'
const KILL_AFTER_MS = 10_000
const KEPT_ERROR_CHARS = 2000

type Child = ChildProcessByStdio<null, Readable, Readable> & { readonly pid: number }

export function createProcesses(): Processes {
  const children = new Map<number, Child>()
  const asked = new Set<number>()
  const pins = isInstalled(PIN)
  let stopping = false

  function launch(cores: string, command: string, args: readonly string[]): Child {
    if (stopping) throw new Error('the bench is ending')
    const [program, ...rest] = pins ? [PIN, '-c', cores, command, ...args] : [command, ...args]
    const child = spawn(program ?? command, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
    child.once('error', error => process.stderr.write(`${command}: ${error.message}\n`))
    const { pid } = child
    if (pid === undefined) throw new Error(`${command} cannot be started`)
    const started = Object.assign(child, { pid })
    children.set(pid, started)
    child.once('exit', () => children.delete(pid))
    return started
  }

  async function stop(pids: readonly number[]): Promise<void> {
    for (const pid of pids) asked.add(pid)
    await Promise.all(pids.map(pid => children.get(pid)).map(child => child && end(child)))
  }

  return {
    start(cores, command, args) {
      const child = launch(cores, command, args)
      const { pid } = child
      child.stdout.resume()
      const errors = keepTail(child.stderr)
      child.once('close', code => {
        if (!asked.has(pid)) process.stderr.write(`${command} ended by itself (${code}): ${errors()}\n`)
      })
      return pid
    },
    run(cores, command, args) {
      const child = launch(cores, command, args)
      const errors = keepTail(child.stderr)
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
      return new Promise((resolve, reject) => {
        child.once('close', code => {
          if (code === 0) resolve(output)
          else reject(new Error(`${command} failed (${code}): ${errors() || output}`))
        })
      })
    },
    stop,
    stopAll() {
      stopping = true
      return stop([...children.keys()])
    },
  }
}

/** Asks it to end; one that does not is killed. */
async function end(child: Child): Promise<void> {
  const exited = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  const killer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
  await exited
  clearTimeout(killer)
}

/** The last of what a stream says. */
function keepTail(stream: Readable): () => string {
  let tail = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-KEPT_ERROR_CHARS)
  })
  return () => tail
}

export function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
