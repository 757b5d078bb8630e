import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Drill } from '../../contract/rollout.ts'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { LEAN_ENV, LEAN_FLAGS } from '../../lib/lean-memory.ts'

const SERVING = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))

interface Server {
  readonly dir: string
  readonly host: string
  readonly port: number
  readonly drill: Drill | null
  readonly ownerPid: number | undefined
  readonly logFile: string
  readonly onError: (error: Error) => void
  /** To write down whom it is about; it has no pid when it could not start. */
  readonly onSpawned: (child: ChildProcess) => void
}

/**
 * Becomes the server, under the same pid, when it is told to: one that starts at once, and that nobody has written down yet when
 * the controller dies, would live on unknown and hold its port. Without the controller it is never told, and ends.
 */
const WHEN_TOLD = 'read -r _ && exec "$@" < /dev/null'

/** Starts a model server that lives on when the controller dies, once `onSpawned` has written it down. */
export function spawnServer(server: Server): void {
  const { dir, drill, ownerPid, logFile, onError, onSpawned } = server
  const args = ['--model', dir, ...addressOptions(server)]
  if (drill) args.push('--drill', drillOption(drill))
  if (ownerPid !== undefined) args.push('--owner-pid', String(ownerPid))
  const output = openSync(logFile, 'a')
  try {
    const env = { ...withoutCredentials(process.env), ...COMPILE_CACHE, ...LEAN_ENV }
    const command = [process.execPath, ...LEAN_FLAGS, SERVING, ...args]
    const stdio = ['pipe', output, output] as const
    const child = spawn('sh', ['-c', WHEN_TOLD, 'sh', ...command], { detached: true, stdio: [...stdio], env })
    child.on('error', onError)
    child.stdin?.on('error', onError)
    child.unref()
    try {
      onSpawned(child)
    } catch (error) {
      child.stdin?.destroy()
      throw error
    }
    child.stdin?.end('\n')
  } finally {
    closeSync(output)
  }
}

/** In the command line of every process that serves there. */
export function marksOf(address: Pick<Server, 'host' | 'port'>): readonly string[] {
  return [SERVING, addressOptions(address).join(' ')]
}

function addressOptions({ host, port }: Pick<Server, 'host' | 'port'>): readonly string[] {
  return ['--host', host, '--port', String(port)]
}

/** A version's own command would find in them a way into the registry. */
function withoutCredentials(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('MLFLOW_TRACKING_')))
}

function drillOption(drill: Drill): string {
  return Object.entries(drill)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
