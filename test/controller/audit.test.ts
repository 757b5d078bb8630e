import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createAudit } from '../../controller/audit.ts'
import { openStore } from '../../controller/store.ts'
import { canonicalJson, sha256 } from '../../lib/hash.ts'

const dir = () => mkdtempSync(join(tmpdir(), 'weir-'))

t.test('each audit record is chained to the one before, also after the store was opened again', async t => {
  const path = dir()
  const record = (n: number) => ({
    at: `2026-01-0${n}T00:00:00Z`,
    actor: 'ada',
    action: 'start',
    subject: 'a',
    reason: `${n}`,
  })
  const first = openStore(path)
  createAudit(first).append(record(1))
  first.close()
  const store = openStore(path)
  t.teardown(() => store.close())
  const audit = createAudit(store)
  audit.append(record(2))
  const [two, one] = audit.list()
  t.match(two, { seq: 2, reason: '2' })
  t.equal(one?.hash, sha256('0'.repeat(64), '1', canonicalJson(record(1))))
  t.equal(two?.hash, sha256(one?.hash ?? '', '2', canonicalJson(record(2))))
  t.same(audit.list({ subject: 'nobody' }), [])
})

t.test('a transaction that fails leaves nothing of itself', async t => {
  const store = openStore(dir())
  t.teardown(() => store.close())
  const audit = createAudit(store)
  t.throws(() =>
    store.transaction(() => {
      audit.append({ at: '', actor: '', action: '', subject: '', reason: '' })
      throw new Error('disk full')
    }),
  )
  t.same(audit.list(), [])
})

t.test('a store written by a newer Weir is refused', async t => {
  const path = dir()
  const store = openStore(path)
  store.db.exec('PRAGMA user_version = 99')
  store.close()
  t.throws(() => openStore(path), { message: /newer Weir/ })
})
