import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../lib/ports.ts'
import { WeirError } from '../../contract/errors.ts'

export interface Stack {
  readonly publicUrl: string
  readonly operatorUrl: string
  readonly controllerUrl: string
  stop(): Promise<void>
}

const READY_LIMIT_MS = 60_000
const WEIR = fileURLToPath(new URL('../weir.ts', import.meta.url))

/** A whole `weir up` beside whatever else runs: free ports, a state folder that goes with it. */
export async function startStack(signal?: AbortSignal): Promise<Stack> {
  const state = await mkdtemp(join(tmpdir(), 'weir-'))
  const port = await freePort('127.0.0.1', 18_080)
  const operatorPort = await freePort('127.0.0.1', port + 1)
  const controllerPort = await freePort('127.0.0.1', operatorPort + 1)
  const ports = ['--port', port, '--operator-port', operatorPort, '--controller-port', controllerPort]
  const args = [
    WEIR,
    'up',
    '--fresh',
    '--state',
    state,
    ...ports.map(String),
    '--first-serving-port',
    '19101',
  ]
  const up = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [up.stdout, up.stderr])
    stream.on('data', chunk => (output = (output + String(chunk)).slice(-4000)))
  const exited = new Promise<void>(resolve => up.once('exit', () => resolve()))
  const stop = async () => {
    if (up.exitCode === null && up.signalCode === null) up.kill('SIGTERM')
    await exited
    await rm(state, { recursive: true, force: true })
  }
  const operatorUrl = `http://127.0.0.1:${operatorPort}`
  try {
    await ready(operatorUrl, () => up.exitCode !== null, signal)
  } catch (cause) {
    await stop()
    throw new WeirError('not_ready', `weir up did not become ready:\n${output}`, { cause })
  }
  return {
    publicUrl: `http://127.0.0.1:${port}`,
    operatorUrl,
    controllerUrl: `http://127.0.0.1:${controllerPort}`,
    stop,
  }
}

async function ready(operatorUrl: string, hasEnded: () => boolean, signal?: AbortSignal): Promise<void> {
  const limit = Date.now() + READY_LIMIT_MS
  while (Date.now() < limit && !hasEnded() && !signal?.aborted) {
    const answer = await fetch(`${operatorUrl}/readyz`).catch(() => undefined) // not listening yet
    if (answer?.ok) return
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new WeirError('not_ready', hasEnded() ? 'it ended' : 'it took too long')
}
