import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

interface ProgramSetting {
  readonly env?: Readonly<Record<string, string>>
  /** Of Node itself. */
  readonly flags?: readonly string[]
}

/**
 * Becomes another of our programs: the process image is replaced where the platform can, so that no parent lingers and
 * signals arrive where they are meant to; elsewhere a child runs and its exit code is passed on. Returns never.
 */
export function execProgram(
  program: string,
  args: readonly string[],
  { env = {}, flags = [] }: ProgramSetting = {},
): void {
  const path = fileURLToPath(new URL(`../${program}`, import.meta.url))
  const command = [...flags, path, ...args]
  const merged = { ...process.env, ...env }
  if (process.platform !== 'win32' && typeof process.execve === 'function') {
    process.execve(process.execPath, [process.execPath, ...command], merged)
  }
  const child = spawn(process.execPath, command, { stdio: 'inherit', env: merged })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)))
}
