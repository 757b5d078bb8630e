import { execFile, execFileSync, fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { FORM_TYPE } from './photos.ts'

export interface Load {
  readonly url: string
  /** Bodies of forms, sent in turns. */
  readonly forms: readonly Buffer[]
  readonly connections: number
  readonly seconds: number
}

export interface PacedLoad extends Load {
  /** Over all connections. */
  readonly perSecond: number
}

export interface LoadResult {
  /** Answered with 200. */
  readonly answered: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Other answers, errors and time-outs. */
  readonly other: number
}

export const runAutocannon = (load: Load) => runProcess('./autocannon-process.ts', load)

export const runPaced = (load: PacedLoad) => runProcess('./paced-process.ts', load)

/** autocannon needs about half a millisecond of a core for a photo; wrk needs a tenth, and measures the server rather than itself. */
export const runLoad: (load: Load) => Promise<LoadResult> = hasWrk() ? runWrk : runAutocannon

function hasWrk(): boolean {
  try {
    execFileSync('which', ['wrk'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const SCRIPT = fileURLToPath(new URL('./load.lua', import.meta.url))
const run = promisify(execFile)

async function runWrk({ url, forms, connections, seconds }: Load): Promise<LoadResult> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-bench-'))
  try {
    const paths = forms.map((_, index) => join(folder, `${index}`))
    await Promise.all(forms.map((form, index) => writeFile(paths[index] ?? '', form)))
    const load = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '--script', SCRIPT]
    const { stdout } = await run('wrk', [...load, url, '--', FORM_TYPE, ...paths])
    const line = stdout.split('\n').find(text => text.startsWith('{'))
    if (line === undefined) throw new Error(`wrk printed no result:\n${stdout}`)
    return JSON.parse(line) as LoadResult
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** In a process of its own, so that probes of this one are not held up by it. */
async function runProcess(program: string, load: Load): Promise<LoadResult> {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), { serialization: 'advanced' })
  child.send(load)
  return new Promise((resolve, reject) => {
    child.once('message', message => resolve(message as LoadResult))
    child.once('exit', code => reject(new Error(`${program} ended with code ${code}`)))
  })
}
