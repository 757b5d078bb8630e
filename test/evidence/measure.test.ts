import t from 'tap'
import { measure } from '../../controller/evidence/measure.ts'
import { listen } from './fake-gateway.ts'

const answers = {
  'one element of a vector is the value': {
    result: [{ metric: { job: 'gpu' }, value: [1, '0.25'] }],
    expected: { kind: 'value', value: 0.25 },
  },
  'a scalar is the value': { resultType: 'scalar', result: [1, '3'], expected: { kind: 'value', value: 3 } },
  'infinity is a value': {
    result: [{ metric: {}, value: [1, '+Inf'] }],
    expected: { kind: 'value', value: Infinity },
  },
  'no element is an error': { result: [], expected: { kind: 'error', reason: /no result/ } },
  'two elements are an error': {
    result: [1, 2].map(index => ({ metric: { index: String(index) }, value: [1, '0'] })),
    expected: { kind: 'error', reason: /2 results/ },
  },
} as const

for (const [what, { expected, ...data }] of Object.entries(answers)) {
  t.test(what, async t => {
    const baseUrl = await listen(t, (_, response) =>
      response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', ...data } })),
    )
    t.match(await measure({ baseUrl }, 'up'), expected)
  })
}

t.test('a query that the server refuses is an error', async t => {
  const baseUrl = await listen(t, (_, response) => response.writeHead(400).end('{"status":"error"}'))
  t.match(await measure({ baseUrl }, 'up{'), { kind: 'error', reason: /answered 400/ })
})
