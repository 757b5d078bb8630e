import type { GatesRun } from '../../contract/environment.ts'

/** What the gates that a person ran have found, in a sentence. */
export function describeGates({ verdict, results }: GatesRun): string {
  if (verdict === null) return 'the gates are run on it'
  const [last] = results.slice(-1)
  if (verdict !== 'pass' && last !== undefined) return `${last.gate}: ${last.reason}`
  const names = results.map(({ gate }) => gate).join(', ')
  return names === '' ? 'no gate is asked for' : `passed: ${names}`
}
