import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { readProcessTree } from './process-tree.ts'

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Answers 200 when the server is ready. */
  readonly healthPath: string
}

export interface ServerProcess {
  readonly url: string
  readonly healthUrl: string
  readonly pid: number
  readonly readyMs: number
  /** The exit code, or undefined where it had to be killed. */
  stop(): Promise<number | undefined>
}

const READY_LIMIT_MS = 120_000
const STOP_LIMIT_MS = 10_000

/** Starts a server on a port that the system chose, and waits until it is ready. */
export async function startServer(command: (port: number) => Command): Promise<ServerProcess> {
  const port = await freePort()
  const { file, args, env, cwd, healthPath } = command(port)
  const begun = performance.now()
  const child = spawn(file, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
    cwd,
  })
  const lastWords = keepLastWords(child)
  await once(child, 'spawn')
  const url = `http://127.0.0.1:${port}`
  try {
    await untilReady(`${url}${healthPath}`, child, begun)
  } catch (error) {
    await stop(child)
    throw new Error(`${file} ${args.join(' ')}: ${String(error)}\n${lastWords()}`, { cause: error })
  }
  return {
    url,
    healthUrl: `${url}${healthPath}`,
    pid: child.pid ?? 0,
    readyMs: performance.now() - begun,
    stop: () => stop(child),
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const LAST_WORDS_LENGTH = 2000

function keepLastWords(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-LAST_WORDS_LENGTH)
  })
  return () => text
}

async function untilReady(url: string, child: ChildProcess, begun: number): Promise<void> {
  while (performance.now() - begun < READY_LIMIT_MS) {
    if (child.exitCode !== null) throw new Error(`ended with code ${child.exitCode}`)
    const response = await fetch(url).catch(() => undefined) // not listening yet
    await response?.text()
    if (response?.ok) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  throw new Error(`not ready after ${READY_LIMIT_MS} ms`)
}

/** Processes that a server leaves behind are killed: they would take their share of the next one's cores. */
async function stop(child: ChildProcess): Promise<number | undefined> {
  const { pids } = readProcessTree(child.pid ?? 0)
  const exited = child.exitCode === null ? once(child, 'exit') : Promise.resolve([child.exitCode])
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
  const [code] = (await exited) as [number | null]
  clearTimeout(timer)
  for (const pid of pids.filter(pid => pid !== child.pid)) killIfAlive(pid)
  return code ?? undefined
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
