import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** What a bench printed; rejects when it ends with another exit code than 0. */
export async function runBench(...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, ['bench/bench.ts', ...args])).stdout
}
