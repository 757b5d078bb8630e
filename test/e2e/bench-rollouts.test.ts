import t from 'tap'
import { runBench } from './bench.ts'

// The bench of live rollouts in its short form: on real processes, and it exits with 1 when a target is missed.

t.test('a candidate that fails more than stable is withdrawn, and no client sees a failure', async t => {
  const output = await runBench('rollouts', '--short', '--only', 'withdrawals')
  t.match(output, /run 1: RolledBack \(failure\)/)
  t.match(output, /failures at the clients: 0 +0 +met/)
})

t.test('healthy candidates that fail now and then are promoted', async t => {
  const output = await runBench('rollouts', '--short', '--only', 'healthy')
  t.match(output, /promoted: all +2 of 2 +met/)
})
