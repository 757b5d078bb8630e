import t from 'tap'
import type { ExitRecord } from '../../contract/exit-record.ts'
import {
  endOfMeasuring,
  endOfWaiting,
  type Waiting,
} from '../../controller/lifecycle/gates/end-of-version.ts'
import type { SeenExit } from '../../controller/runtime/facts.ts'
import { CRASH, MIB } from './exit.ts'

// Which gate a version failed that died, or refused, before it was measured or while it was.

const WAITING: Waiting = {
  status: { kind: 'starting', endpoints: ['http://127.0.0.1:1'], reason: 'the model is loading' },
  facts: { running: true, exits: [], peakBytes: null },
  startedAt: 1000,
  now: 2000,
  readyWithinMs: 60_000,
}
const withExits = (...exits: readonly Partial<SeenExit>[]) => ({
  ...WAITING,
  facts: { ...WAITING.facts, exits: exits.map(exit => ({ ...CRASH, ...exit })) },
})

t.test('a version that refuses ends the wait as the failure of integration', async t => {
  const refused = { kind: 'refused', endpoints: [], reason: 'the model does not fit its manifest' } as const
  t.match(endOfWaiting({ ...WAITING, status: refused }), {
    gate: 'integration',
    verdict: 'fail',
    reason: 'it refuses to serve: the model does not fit its manifest',
    startedAt: '1970-01-01T00:00:01.000Z',
    endedAt: '1970-01-01T00:00:02.000Z',
  })
})

t.test(
  'killed for memory once, or crashed three times, ends the wait as the failure of resources',
  async t => {
    const memory: Partial<ExitRecord> = { cause: 'memory-limit', limitBytes: 512 * MIB }
    t.match(endOfWaiting(withExits(memory)), { gate: 'resources', verdict: 'fail', reason: /^OOM/ })
    t.equal(endOfWaiting(withExits({}, {})), undefined, 'twice may be bad luck')
    t.match(endOfWaiting(withExits({}, {}, {})), {
      gate: 'resources',
      reason: /^crash loop: its process ended 3 times/,
    })
    t.equal(endOfWaiting(withExits({}, {}, { cause: 'unknown' })), undefined)
  },
)

// A version that was kept warm may have crashed long before it was returned to, and was given up for it once.
t.test('what ended before the wait began says nothing about it', async t => {
  const early = { at: WAITING.startedAt - 1 }
  const memory: Partial<ExitRecord> = { cause: 'memory-limit', limitBytes: 512 * MIB }
  t.equal(endOfWaiting(withExits({ ...early, ...memory })), undefined)
  t.equal(endOfWaiting(withExits(early, early, {}, {})), undefined)
  t.match(endOfWaiting({ ...withExits(early, early, {}), now: 61_000 }), { reason: /ended once/ })
  t.match(endOfWaiting({ ...withExits(early), now: 61_000 }), { reason: /^not ready after 60 s/ })
  const looping = endOfWaiting(withExits({ ...early, ...memory }, {}, {}, {}))
  t.match(looping, { reason: /^crash loop: its process ended 3 times/ })
  t.equal(looping?.evidence?.gate === 'resources' && looping.evidence.exits.length, 3)
})

t.test(
  'a version that is not ready in time is a failure of resources that says what it waited for',
  async t => {
    t.equal(endOfWaiting({ ...WAITING, now: 60_999 }), undefined)
    t.match(endOfWaiting({ ...WAITING, now: 61_000 }), {
      gate: 'resources',
      reason: 'not ready after 60 s: the model is loading',
    })
    const pending = { ...WAITING, now: 61_000, facts: { ...WAITING.facts, running: false } }
    t.match(endOfWaiting(pending), { gate: 'resources', reason: /^pending/ })
    t.match(endOfWaiting({ ...withExits({}), now: 61_000 }), { reason: /ended once/ })
    const ready = { kind: 'ready', endpoints: [], digest: 'sha256:x' } as const
    t.equal(endOfWaiting({ ...withExits({}, {}, {}), status: ready, now: 99_000 }), undefined)
  },
)

t.test('an end while it was measured is the failure of resources, an earlier one is not', async t => {
  const { facts } = withExits({})
  t.match(endOfMeasuring(facts, { startedAt: 5000, now: 9000 }), { gate: 'resources', verdict: 'fail' })
  t.equal(endOfMeasuring(facts, { startedAt: 5001, now: 9000 }), undefined)
  const { facts: two } = withExits({ at: 1, cause: 'memory-limit' }, {})
  t.match(endOfMeasuring(two, { startedAt: 5000, now: 9000 }), { reason: /^its process ended once/ })
})
