import t from 'tap'
import * as deaths from '../e2e/environment-deaths.ts'
import { listEnvironmentTransitions } from './environment-transitions.ts'

t.test('real controllers are killed at every transition that environments have, and at no other', async t => {
  const known = listEnvironmentTransitions()
  const { checkEnvironmentDeaths: _, ...played } = deaths
  const killed = new Set(Object.values(played).flat())
  t.same([...known.difference(killed)], [], 'no controller is killed at these: add them to the test')
  t.same([...killed.difference(known)], [], 'the state machine has not these')
})
