import t from 'tap'
import { EMPTY_CHAIN, hashOfRecord, verifyChain, type ChainedRow } from '../../controller/audit-chain.ts'

/** A sound chain of n records. */
function chain(n: number): ChainedRow[] {
  const rows: ChainedRow[] = []
  let previousHash = EMPTY_CHAIN.hash
  for (let seq = 1; seq <= n; seq++) {
    const record = JSON.stringify({ reason: `${seq}` })
    const hash = hashOfRecord(previousHash, seq, record)
    rows.push({ seq, record, previousHash, hash })
    previousHash = hash
  }
  return rows
}

const sound = chain(6)
const head = headOf(sound, 6)

t.test('a chain as it was written is sound, also an empty one', async t => {
  t.same(verifyChain(sound, [head]), { records: 6, head, firstBad: null })
  t.same(verifyChain([], [EMPTY_CHAIN]), { records: 0, head: EMPTY_CHAIN, firstBad: null })
})

for (let seq = 1; seq <= 6; seq++) {
  t.test(
    `record ${seq} of 6 is named when it was changed, removed, or took the next one's place`,
    async t => {
      const changed = sound.map(row => (row.seq === seq ? { ...row, record: '{"reason":"another"}' } : row))
      t.match(verifyChain(changed, [head]), { records: seq - 1, firstBad: { seq, problem: 'changed' } })

      const removed = sound.filter(row => row.seq !== seq)
      t.match(verifyChain(removed, [head]), { records: seq - 1, firstBad: { seq, problem: 'missing' } })

      if (seq === 6) return
      const swapped = sound.toSpliced(seq - 1, 2, ...sound.slice(seq - 1, seq + 1).toReversed())
      t.match(verifyChain(swapped, [head]), { firstBad: { seq } })
      t.match(verifyChain(renumbered(swapped), [head]), { firstBad: { seq } })
    },
  )
}

t.test('closing the gap does not hide that a record is gone', async t => {
  const closed = renumbered(sound.filter(row => row.seq !== 3))
  t.match(verifyChain(closed, [head]), { firstBad: { seq: 3 } })
})

t.test('a record put in with a hash of its own does not fit what follows', async t => {
  const forged = { ...sound[2], seq: 3, record: '{}', previousHash: headOf(sound, 2).hash }
  const rows = sound.with(2, { ...forged, hash: hashOfRecord(forged.previousHash, 3, '{}') })
  t.match(verifyChain(rows, [head]), { records: 3, firstBad: { seq: 4, problem: 'out-of-place' } })
})

t.test('a chain that was rewritten to its end contradicts a head that somebody noted', async t => {
  const rewritten = chain(3).concat(chain(8).slice(3))
  t.match(verifyChain(rewritten, [headOf(rewritten, 8), head]), { firstBad: null }, 'the same records')
  const other = { seq: 4, hash: 'f'.repeat(64) }
  t.match(verifyChain(rewritten, [other]), { records: 3, firstBad: { seq: 4, problem: 'changed' } })
})

function headOf(rows: readonly ChainedRow[], seq: number) {
  return { seq, hash: rows[seq - 1]?.hash ?? '' }
}

function renumbered(rows: readonly ChainedRow[]): ChainedRow[] {
  return rows.map((row, index) => ({ ...row, seq: index + 1 }))
}
