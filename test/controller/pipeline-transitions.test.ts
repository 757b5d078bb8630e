import t from 'tap'
import * as deaths from '../e2e/pipeline-deaths.ts'
import { listPipelineTransitions } from './pipeline-transitions.ts'

t.test('real controllers are killed at every transition that the pipeline has, and at no other', async t => {
  const known = listPipelineTransitions()
  const { checkDeaths: _, ...played } = deaths
  const killed = new Set(Object.values(played).flat())
  t.same([...known.difference(killed)], [], 'no controller is killed at these: add them to a run')
  t.same([...killed.difference(known)], [], 'the state machine has not these')
})
