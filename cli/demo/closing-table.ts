import type { LoadResult } from '../load/steady-load.ts'
import { quantileOf } from '../load/steady-load.ts'
import { table } from '../render/table.ts'
import type { Story } from './story.ts'

/** What the demo showed, in figures. */
export function closingTable(load: LoadResult, story: Story): string {
  const rows = [
    ['requests sent', String(load.sent)],
    ['failures that clients saw', String(load.failed)],
    ['failures of the candidate that stable answered', String(load.fallbacks)],
    ['client p95 at the end', `${quantileOf(load.recentMs, 0.95).toFixed(0)} ms`],
    ['version 2 brought to all users', story.promoted ? `in ${story.promoteSeconds.toFixed(0)} s` : 'NO'],
    ['failing version withdrawn', story.withdrawn ? 'yes, on its own' : 'NO'],
    ['time to withdraw, from its first live request', `${story.withdrawSeconds.toFixed(1)} s`],
    [
      '  of that from the decision to every worker',
      story.withdrawMs === null ? '–' : `${story.withdrawMs} ms`,
    ],
  ]
  const firstFailure = load.firstFailure === null ? '' : `\nfirst failure: ${load.firstFailure}`
  return `\n${table(['WHAT', 'MEASURED'], rows)}${firstFailure}\n`
}
