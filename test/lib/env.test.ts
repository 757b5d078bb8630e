import t from 'tap'
import { z } from 'zod'
import { readEnv } from '../../lib/env.ts'

const shape = { WEIR_STATE: z.string().default('.weir'), PORT: z.coerce.number().optional() }

t.test('an empty variable counts as absent, and others are left alone', async t => {
  t.same(readEnv(shape, { WEIR_STATE: '', PORT: '80', HOME: '/root' }), { WEIR_STATE: '.weir', PORT: 80 })
})

t.test('a misspelt variable of ours is refused by name', async t => {
  t.throws(() => readEnv(shape, { WEIR_STAET: 'x' }), { message: /WEIR_STAET/ })
})

t.test('a value of the wrong kind is refused by name', async t => {
  t.throws(() => readEnv(shape, { PORT: 'eighty' }), { message: /PORT/ })
})
