import t from 'tap'
import { parseAssignments, parseNumber } from '../../cli/assignments.ts'

t.test('words become settings', async t => {
  t.same(parseAssignments(['stable=80', 'candidate=20']), { stable: '80', candidate: '20' })
})

t.test('what is no setting is refused by its word', async t => {
  t.throws(() => parseAssignments(['stable']), { message: /"stable" must look like NAME=VALUE/ })
  t.throws(() => parseAssignments(['a=1', 'a=2']), { message: /"a" is named twice/ })
  t.throws(() => parseNumber('ten', 'stable'), { message: /stable: "ten" is no number/ })
  t.throws(() => parseNumber('', 'stable'), { code: 'invalid_setting' })
})
