import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Drill } from '../../contract/rollout.ts'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { LEAN_ENV, LEAN_FLAGS } from '../../lib/lean-memory.ts'

/** The program of a model server, by which its processes are known. */
export const SERVING = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))

interface Server {
  readonly dir: string
  readonly host: string
  readonly port: number
  readonly drill: Drill | null
  readonly ownerPid: number | undefined
  readonly logFile: string
  readonly onError: (error: Error) => void
}

/** Starts a model server that lives on when the controller dies; it has no pid when it could not start. */
export function spawnServer(server: Server): ChildProcess {
  const { dir, host, port, drill, ownerPid, logFile, onError } = server
  const args = ['--model', dir, '--host', host, '--port', String(port)]
  if (drill) args.push('--drill', drillOption(drill))
  if (ownerPid !== undefined) args.push('--owner-pid', String(ownerPid))
  const output = openSync(logFile, 'a')
  try {
    const env = { ...withoutCredentials(process.env), ...COMPILE_CACHE, ...LEAN_ENV }
    const stdio = ['ignore', output, output] as const
    const command = [...LEAN_FLAGS, SERVING, ...args]
    const child = spawn(process.execPath, command, { detached: true, stdio: [...stdio], env })
    child.on('error', onError)
    child.unref()
    return child
  } finally {
    closeSync(output)
  }
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
