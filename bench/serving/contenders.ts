import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { LEAN_ENV, LEAN_FLAGS } from '../../lib/lean-memory.ts'
import type { Command } from './server-process.ts'

export type Precision = 'fp32' | 'int8'

export interface Contender {
  readonly name: string
  readonly precision: Precision
  /** How its processes and threads are set. */
  readonly setting: string
  readonly command: (port: number) => Command
}

export interface ContenderOptions {
  /** Folders of versions. */
  readonly models: Readonly<Record<Precision, string>>
  /** Threads of ours, processes of a peer: the cores they may keep busy. */
  readonly workers: number
}

const OURS = 'weir serve'
const FLASK = 'Flask + PyTorch'
const FASTAPI = 'FastAPI + onnxruntime'
const LITSERVE = 'LitServe'
export const NAMES = { OURS, FLASK, FASTAPI, LITSERVE } as const

/** `weir serve` as a user starts it. */
export function ourContenders({ models, workers }: ContenderOptions): Contender[] {
  const main = fileURLToPath(new URL('../../serving/main.ts', import.meta.url))
  const env = { ...COMPILE_CACHE, ...LEAN_ENV, WEIR_LOG_LEVEL: 'warn' }
  return eachPrecision(models).map(([precision, model]) => ({
    name: OURS,
    precision,
    setting: `${workers} inference threads`,
    command: port => ({
      file: process.execPath,
      args: [...LEAN_FLAGS, main, '--model', model, '--port', String(port), '--workers', String(workers)],
      env,
      healthPath: '/readyz',
    }),
  }))
}

/**
 * The peers, each at the best setting found for it: as many processes as ours has threads, one thread of the numeric library in
 * each, connections kept open. Flask runs the fp32 model only, as the original application does.
 */
export function pythonContenders(bin: string, options: ContenderOptions): Contender[] {
  const { models, workers } = options
  const peer = pythonPeer(bin)
  return eachPrecision(models).flatMap(([precision, model]) => [
    ...(precision === 'fp32' ? [flask({ peer, model, workers })] : []),
    {
      name: FASTAPI,
      precision,
      setting: `uvicorn with uvloop and httptools, ${workers} processes`,
      command: peer(model, 'uvicorn', port => {
        const libraries = ['--loop', 'uvloop', '--http', 'httptools', '--log-level', 'warning']
        return ['fastapi_app:app', '--port', String(port), '--workers', String(workers), ...libraries]
      }),
    },
    {
      name: LITSERVE,
      precision,
      setting: `onnxruntime, ${workers} inference processes, one API server`,
      command: peer(model, 'python', port => ['litserve_app.py', String(port), String(workers)]),
    },
  ])
}

type Peer = ReturnType<typeof pythonPeer>

function flask({ peer, model, workers }: { peer: Peer; model: string; workers: number }): Contender {
  // gunicorn's default worker closes every connection; one of threads with one thread keeps them and was the fastest
  const bind = (port: number) => ['--bind', `127.0.0.1:${port}`, '--log-level', 'warning']
  const threads = ['--workers', String(workers), '--worker-class', 'gthread', '--threads', '1']
  return {
    name: FLASK,
    precision: 'fp32',
    setting: `gunicorn, ${workers} gthread processes`,
    command: peer(model, 'gunicorn', port => ['flask_app:app', ...bind(port), ...threads]),
  }
}

function pythonPeer(bin: string) {
  const cwd = fileURLToPath(new URL('./peers', import.meta.url))
  const env = (model: string) => ({ MODEL: resolve(model), OMP_NUM_THREADS: '1' })
  return (model: string, program: string, args: (port: number) => string[]) =>
    (port: number): Command => ({
      file: join(bin, program),
      args: args(port),
      cwd,
      env: env(model),
      healthPath: '/health',
    })
}

function eachPrecision(models: ContenderOptions['models']) {
  return Object.entries(models) as [Precision, string][]
}
