import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { ModelRefused } from '../manifest.ts'
import type { CustomVersion } from './custom-version.ts'
import { groupResidentBytes, signalGroup } from '../../lib/process-group.ts'

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One run of a version's command. */
export interface CustomProcess {
  readonly baseUrl: string
  readonly pid: number
  /** Aborts when it has ended. */
  readonly ended: AbortSignal
  /** How it has ended; undefined while it runs. */
  how(): Ending | undefined
  residentBytes(): Promise<number | undefined>
  /** Asks it to end, and kills what is left of its group after the time. */
  stop(graceMs: number): Promise<void>
  /** Kills its group at once; resolves when it has ended. */
  kill(): Promise<void>
}

/** Its group is killed when this process goes without having stopped it, whatever way it goes: nothing else would end it. */
const GUARD = 'read -r _; kill -s KILL -- "-$0"'

/** Throws ModelRefused when there is no such program. */
export async function startCustomProcess({ folder, manifest }: CustomVersion): Promise<CustomProcess> {
  const { server, name, version } = manifest
  const port = await freeLoopbackPort()
  const fill = (text: string) => text.replaceAll('{port}', String(port)).replaceAll('{dir}', folder)
  const own = Object.entries(server.env).map(([key, value]) => [key, fill(value)])
  const [program = '', ...args] = server.command.map(fill)
  const child = spawn(program, args, {
    cwd: folder,
    detached: true, // a group of its own, with whatever processes it starts
    stdio: ['ignore', process.stderr, process.stderr], // our own standard output has log lines only
    env: {
      ...process.env,
      PORT: String(port),
      MODEL_BASE_PATH: folder,
      MODEL_NAME: name,
      MODEL_VERSION: version,
      PYTHONDONTWRITEBYTECODE: '1', // the folder stays what its digest says
      ...Object.fromEntries(own),
    },
  })
  const ended = new AbortController()
  let ending: Ending | undefined
  child.once('exit', (code, signal) => {
    ending = { code, signal }
    ended.abort()
  })
  const groupId = await new Promise<number>((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0))
    child.once('error', cause => reject(new ModelRefused(`"${program}" cannot be started`, { cause })))
  })
  const guard = spawn('sh', ['-c', GUARD, String(groupId)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    pid: groupId,
    ended: ended.signal,
    how: () => ending,
    residentBytes: () => groupResidentBytes(groupId),
    async kill() {
      signalGroup(groupId, 'SIGKILL')
      if (!ended.signal.aborted) await once(ended.signal, 'abort')
    },
    async stop(graceMs) {
      signalGroup(groupId, 'SIGTERM')
      await endOrTimeout(ended.signal, graceMs)
      signalGroup(groupId, 'SIGKILL') // what its leader left behind, too
      guard.kill('SIGKILL')
      guard.stdin.destroy()
    },
  }
}

function endOrTimeout(ended: AbortSignal, graceMs: number): Promise<void> {
  return new Promise(resolve => {
    if (ended.aborted) return resolve()
    const timer = setTimeout(resolve, graceMs)
    ended.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

async function freeLoopbackPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  await new Promise<void>(resolve => server.close(() => resolve()))
  return port
}
