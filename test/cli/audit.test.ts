import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { json, listen } from '../controller/small-gateway.ts'

t.test('an alias that was moved is named in the audit, with the version that it leads to', async t => {
  const record = { at: '2026-01-01T00:00:00.000Z', actor: 'ada', subject: 'food11/2', hash: 'h' }
  const moved = (after: string | null) => ({ alias: 'canary', before: '1', after })
  const items = [
    { ...record, seq: 3, action: 'set-alias', reason: 'by hand', evidence: moved(null) },
    { ...record, seq: 2, action: 'set-alias', reason: 'by hand', evidence: moved('2') },
    { ...record, seq: 1, action: 'register', reason: 'registered' },
  ]
  const url = await listen(t, (_, response) => json(response, { items }))
  const weir = promisify(execFile)
  const { stdout } = await weir(process.execPath, ['cli/weir.ts', 'audit', '--controller', url])
  t.match(stdout, /^ *3 .* ada +set-alias canary → none +food11\/2 +by hand$/m)
  t.match(stdout, /^ *2 .* ada +set-alias canary → 2 +food11\/2 +by hand$/m)
  t.match(stdout, /^ *1 .* ada +register +food11\/2 +registered$/m)
})
