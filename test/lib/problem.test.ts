import { connect } from 'node:net'
import { test } from 'tap'
import { describeProblem } from '../../lib/problem.ts'

test('nobody at any address of a name: said of the first address', async t => {
  const tried = [
    Object.assign(new Error('refused'), { code: 'ECONNREFUSED', address: '::1', port: 4318 }),
    Object.assign(new Error('refused'), { code: 'ECONNREFUSED', address: '127.0.0.1', port: 4318 }),
  ]
  const error = Object.assign(new AggregateError(tried), { code: 'ECONNREFUSED' })
  t.equal(describeProblem(error), 'nothing answers at ::1:4318; is it running?')
})

test('a real refused connection names address and port', async t => {
  const error = await new Promise(resolve => connect(1, '127.0.0.1').on('error', resolve))
  t.equal(describeProblem(error), 'nothing answers at 127.0.0.1:1; is it running?')
})

test('the causes of an error are told after it', async t => {
  const error = new Error('the store cannot be read', { cause: new Error('it is a folder') })
  t.equal(describeProblem(error), 'the store cannot be read: it is a folder')
})
