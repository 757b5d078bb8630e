import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** The pids of what a `weir up` started, directly or not, whose command line names `program`: each was told its owner. */
export async function processesOf(upPid: number, program: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,args='])
  const own = stdout.split('\n').filter(row => row.includes(`--owner-pid ${upPid}`) && row.includes(program))
  return own.map(row => Number.parseInt(row, 10))
}
