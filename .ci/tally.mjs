// Reads tap's own closing totals and says them as `N passed, N failed, N skipped`; the exit code follows.
import { readFileSync } from 'node:fs'

const [log, status] = process.argv.slice(2)
const totals = [...readFileSync(log, 'utf8').matchAll(/^# \{ (total: [^}]*)\}/gm)].at(-1)?.[1]
if (!totals) {
  console.log('0 passed, 1 failed, 0 skipped')
  process.exit(1)
}
const count = name => Number(new RegExp(`\\b${name}: ([\\d,]+)`).exec(totals)?.[1]?.replaceAll(',', '') ?? 0)
const [passed, skipped] = [count('pass'), count('skip') + count('todo')]
const failed = Math.max(count('fail'), Number(status) === 0 ? 0 : 1)
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exit(failed > 0 || skipped > 0 || passed === 0 ? 1 : 0)
