import { createHmac } from 'node:crypto'
import { test } from 'tap'
import { createPredictionIds } from '../../gateway/prediction-id.ts'

const KEY = 'k'.repeat(43)
const CLAIMS = {
  route: 'food11',
  variant: 'stable',
  label: 'Noodles "hot"',
  epoch: 7,
  at: 1_700_000_000_000,
  nonce: 'n1',
}

test('an id says what was signed, on any replica that has the key', async t => {
  const id = createPredictionIds(KEY).sign(CLAIMS)
  t.same(createPredictionIds(KEY).read(id), CLAIMS)
})

test('the code of an id is HMAC-SHA256 over its payload', async t => {
  for (const key of [KEY, 'k'.repeat(200)]) {
    const [payload = '', mac] = createPredictionIds(key).sign(CLAIMS).split('.')
    t.equal(mac, createHmac('sha256', key).update(payload).digest().subarray(0, 16).toString('base64url'))
  }
})

test('forged, foreign and mangled ids are not read', async t => {
  const ids = createPredictionIds(KEY)
  const id = ids.sign(CLAIMS)
  const [payload = '', mac = ''] = id.split('.')
  const other = Buffer.from(JSON.stringify(['food11', 'candidate', 'Bread', 7, 0, 'n'])).toString('base64url')
  const cases = [
    '',
    '.',
    id.slice(0, -1),
    `${other}.${mac}`,
    `${payload}.`,
    `${payload}`,
    `${id}.x`,
    `${id}A`,
  ]
  for (const forged of cases) t.equal(ids.read(forged), undefined, forged)
  t.equal(createPredictionIds('another key that is long enough').read(id), undefined)
})
