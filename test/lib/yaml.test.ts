import t from 'tap'
import { readYaml } from '../../lib/yaml.ts'

t.test('text that is no YAML is told in one line, with the place', async t => {
  t.same(readYaml('a: [1]'), { value: { a: [1] } })
  t.same(readYaml(''), { value: null })
  t.same(readYaml('a: 1\na: 2\n'), { problem: 'Map keys must be unique at line 2, column 1' })
  t.match(readYaml('a: *b'), { problem: /^Unresolved alias .*: b$/ })
})
