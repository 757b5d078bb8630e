import { z } from 'zod'
import { describeIssues } from './parse.ts'

/**
 * Reads settings from environment variables by schema. Keys are the variables' names; empty values count as absent.
 * A variable that begins with WEIR_ and that no process knows is refused by name: a misspelt setting must not be ignored.
 */
export function readEnv<Shape extends z.ZodRawShape>(
  shape: Shape,
  env: Readonly<Record<string, string | undefined>>,
): z.infer<z.ZodObject<Shape>> {
  const known = new Set([...Object.keys(shape), ...SHARED_SETTINGS])
  const unknown = Object.keys(env).filter(key => key.startsWith('WEIR_') && !known.has(key))
  if (unknown.length > 0) throw new EnvError(`unknown environment variable ${unknown.join(', ')}`)
  const present = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const result = z.object(shape).safeParse(present)
  if (!result.success) throw new EnvError(describeIssues(result.error))
  return result.data
}

/** Every WEIR_ variable that some process of Weir reads, so that one process does not refuse another's. */
const SHARED_SETTINGS = [
  'WEIR_STATE',
  'WEIR_LOG_LEVEL',
  'WEIR_REQUIRE_ALL',
  'WEIR_GATEWAY',
  'WEIR_CONTROLLER',
  'WEIR_ALERTS',
  'WEIR_MLFLOW_NAMES',
]

class EnvError extends Error {}
