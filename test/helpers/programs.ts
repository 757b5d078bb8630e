import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/**
 * For tests that need a program from outside: its path, or why the test is skipped. With WEIR_REQUIRE_ALL=1 a missing
 * program is an error, so that nothing is skipped where everything should be there.
 */
export function findProgram(name: string): { path: string } | { skip: string } {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return { path }
    } catch {
      continue // not in this folder
    }
  }
  if (process.env['WEIR_REQUIRE_ALL'] === '1')
    throw new Error(`${name} is not installed, and WEIR_REQUIRE_ALL=1 forbids to skip`)
  return { skip: `needs ${name}, which is not installed` }
}
