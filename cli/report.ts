import { describeProblem } from '../lib/problem.ts'

/** Tells a person what went wrong in one line, without a stack, and ends with exit code 1. */
export function reportAndExit(error: unknown): never {
  process.stderr.write(`weir: ${describeProblem(error)}\n`)
  process.exit(1)
}
