import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'

export interface Load {
  readonly name: string
  readonly bytes: number
  readonly path: string
}

const CONNECTIONS = 32
const run = promisify(execFile)

/** Requests a second, answers other than 2xx being an error. */
export async function runLoad(url: string, load: Load, seconds: number): Promise<number> {
  return hasWrk() ? wrk(url, load, seconds) : cannon(url, load, seconds)
}

function hasWrk(): boolean {
  try {
    execFileSync('which', ['wrk'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function wrk(url: string, { bytes, path }: Load, seconds: number): Promise<number> {
  const script = join(mkdtempSync(join(tmpdir(), 'weir-bench-')), 'load.lua')
  writeFileSync(
    script,
    `wrk.method='POST'; wrk.body=string.rep('x',${bytes}); local n=0
     request=function() n=n+1; return wrk.format(nil,nil,{['Content-Type']='application/octet-stream',['x-user-id']='user-'..(n%5000)}) end`,
  )
  const args = ['-c', '1', 'wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script, `${url}${path}`]
  const { stdout } = await run('taskset', args)
  if (/Non-2xx/.test(stdout)) throw new Error(`${url} answered errors:\n${stdout}`)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
}

async function cannon(url: string, { bytes, path }: Load, seconds: number): Promise<number> {
  const result = await autocannon({
    url: `${url}${path}`,
    method: 'POST',
    body: 'x'.repeat(bytes),
    headers: { 'content-type': 'application/octet-stream', 'x-user-id': 'user-1' },
    connections: CONNECTIONS,
    duration: seconds,
  })
  if (result.non2xx > 0) throw new Error(`${url} answered ${result.non2xx} errors`)
  return result.requests.average
}
