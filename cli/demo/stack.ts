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
  /** The process id of `weir up`. */
  readonly pid: number
  stop(): Promise<void>
}

export interface StackPorts {
  readonly public: number
  readonly operator: number
  readonly controller: number
}

export interface StackOptions {
  readonly ports?: StackPorts
  readonly env?: Readonly<Record<string, string>>
  /** A state folder that stays; by default one of its own that goes with the stack. */
  readonly state?: string
  /** Where versions of models are; by default those that come with Weir. */
  readonly models?: string
  readonly signal?: AbortSignal
}

const READY_LIMIT_MS = 60_000
const WEIR = fileURLToPath(new URL('../weir.ts', import.meta.url))

/** Stacks that start at the same moment in different processes do not look for ports in the same place. */
const SHIFT = process.pid % 90

/** Three ports that nothing listens on, away from the ones that `npm start` takes. */
export async function freeStackPorts(): Promise<StackPorts> {
  const first = await freePort('127.0.0.1', 18_080 + SHIFT * 10)
  const operator = await freePort('127.0.0.1', first + 1)
  return { public: first, operator, controller: await freePort('127.0.0.1', operator + 1) }
}

/** A whole `weir up` beside whatever else runs: free ports, a state folder that goes with it. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { ports = await freeStackPorts(), env = {}, signal } = options
  const state = options.state ?? (await mkdtemp(join(tmpdir(), 'weir-')))
  const models = options.models === undefined ? [] : ['--models', options.models]
  const up = spawn(process.execPath, [WEIR, 'up', ...upArguments(state, ports), ...models], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let output = ''
  for (const stream of [up.stdout, up.stderr]) {
    stream.on('data', chunk => {
      output = (output + String(chunk)).slice(-4000)
    })
  }
  const exited = new Promise<void>(resolve => up.once('exit', () => resolve()))
  const stop = async () => {
    if (up.exitCode === null && up.signalCode === null) up.kill('SIGTERM')
    await exited
    if (options.state === undefined) await rm(state, { recursive: true, force: true })
  }
  const urlOf = (port: number) => `http://127.0.0.1:${port}`
  try {
    await ready(urlOf(ports.operator), () => up.exitCode !== null, signal)
  } catch (cause) {
    await stop()
    throw new WeirError('not_ready', `weir up did not become ready:\n${output}`, { cause })
  }
  return {
    publicUrl: urlOf(ports.public),
    operatorUrl: urlOf(ports.operator),
    controllerUrl: urlOf(ports.controller),
    pid: up.pid ?? 0,
    stop,
  }
}

function upArguments(state: string, ports: StackPorts): string[] {
  const { public: port, operator, controller } = ports
  const numbers = ['--port', port, '--operator-port', operator, '--controller-port', controller]
  return ['--state', state, ...numbers.map(String), '--first-serving-port', String(19_101 + SHIFT * 10)]
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
