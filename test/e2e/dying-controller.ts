import type { Run } from '../../controller/lifecycle/pipeline-run.ts'
import { FIRST_TRANSITION, transitionsOf } from '../controller/pipeline-transitions.ts'
import { dieAtCommits } from './die-at-commits.ts'

// Preloaded into a real controller (node --import): kills it at each transition of a run of the pipeline.

dieAtCommits(({ sql, values: [first = '', , id = ''], row }) => {
  if (sql.startsWith('INSERT INTO pipeline_runs')) return [{ subject: first, transition: FIRST_TRANSITION }]
  if (!sql.startsWith('UPDATE pipeline_runs SET run')) return []
  const known = row('SELECT run FROM pipeline_runs WHERE id = ?', id)
  if (known === undefined) throw new Error(`there is no run ${id} to change`)
  const before = JSON.parse(String(known['run'])) as Run
  return transitionsOf(before, JSON.parse(first) as Run).map(transition => ({ subject: id, transition }))
})
