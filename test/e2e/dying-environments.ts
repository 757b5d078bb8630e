import { emptyEnvironment, type EnvironmentState } from '../../controller/lifecycle/environment-state.ts'
import { transitionsOf } from '../controller/environment-transitions.ts'
import { dieAtCommits } from './die-at-commits.ts'

// Preloaded into a real controller (node --import): kills it at each transition of an environment.

dieAtCommits(({ sql, values: [name = '', written = ''], row }) => {
  if (!sql.startsWith('INSERT INTO environments (')) return []
  const after = JSON.parse(written) as EnvironmentState
  const known = row('SELECT state FROM environments WHERE name = ?', name)
  const empty = emptyEnvironment(after.name, after.model)
  const before = known === undefined ? empty : (JSON.parse(String(known['state'])) as EnvironmentState)
  // of each deployment, since an environment has many
  const subject = `${name}-r${after.work?.revision ?? before.work?.revision ?? after.revision}`
  return transitionsOf(before, after).map(transition => ({ subject, transition }))
})
