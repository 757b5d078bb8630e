import t from 'tap'
import { findProgram } from '../helpers/programs.ts'
import { runBench } from './bench.ts'

const prometheus = findProgram('prometheus')
const skip = 'skip' in prometheus && prometheus.skip

t.test('a rollout holds while its metrics provider is down, and goes on', { skip }, async t => {
  const output = await runBench('rollouts', '--short', '--only', 'outage')
  t.match(output, /the provider is stopped[^]+the provider is back[^]+Promoted/)
  t.match(output, /it holds while the metrics provider is down +held for 6 s +met/)
})
