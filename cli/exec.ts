import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

/**
 * Becomes another of our programs: the process image is replaced where the platform can, so that no parent lingers and
 * signals arrive where they are meant to; elsewhere a child runs and its exit code is passed on. Returns never.
 */
export function execProgram(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  const path = fileURLToPath(new URL(`../${program}`, import.meta.url))
  const merged = { ...process.env, ...env }
  if (process.platform !== 'win32' && typeof process.execve === 'function') {
    process.execve(process.execPath, [process.execPath, path, ...args], merged)
  }
  const child = spawn(process.execPath, [path, ...args], { stdio: 'inherit', env: merged })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)))
}
