import { z } from 'zod'

/** A misspelt query parameter must not be ignored: an operator would take the answer for a filtered one. */
export function query<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: issue =>
      issue.code === 'unrecognized_keys'
        ? `unknown query parameter ${issue.keys.map(key => `"${key}"`).join(', ')}`
        : undefined,
  })
}
