import t from 'tap'
import { gateSettings } from '../../contract/gate.ts'
import { judgeLoad, type Attempt } from '../../controller/lifecycle/gates/load.ts'
import { judgeQuality, type Answered } from '../../controller/lifecycle/gates/quality.ts'
import { describeExits, judgeResources } from '../../controller/lifecycle/gates/resources.ts'
import { judgeComparison } from '../../controller/lifecycle/gates/shadow.ts'
import { signTest } from '../../controller/lifecycle/gates/sign-test.ts'
import { judgeAnswer } from '../../controller/lifecycle/gates/webhook.ts'
import type { SeenExit } from '../../controller/runtime/facts.ts'
import { CRASH, MIB } from './exit.ts'

// What gates decide of what they measured, at the limits and beside them.

const LOAD = { successAbove: 0.95, p95BelowMs: 2000 }

function attempts(count: number, change: Partial<Attempt> = {}): Attempt[] {
  return Array.from({ length: count }, () => ({ status: 200, timedOut: false, ms: 100, ...change }))
}

t.test('exactly 95 of 100 answered with 2xx fails, 96 pass', async t => {
  const bad = { status: 500 }
  t.match(judgeLoad([...attempts(95), ...attempts(5, bad)], LOAD), {
    verdict: 'fail',
    reason: /95 of 100 requests were answered with 2xx \(95 %, must be above 95 %\)/,
    evidence: { successRate: 0.95, statuses: { 200: 95, 500: 5 } },
  })
  t.match(judgeLoad([...attempts(96), ...attempts(4, bad)], LOAD), { verdict: 'pass' })
  t.match(judgeLoad([...attempts(57), ...attempts(3, bad)], LOAD), { verdict: 'fail' }, '57 of 60 are 95 %')
})

t.test('a 95th percentile of exactly 2000 ms fails, just below it passes', async t => {
  const slow = (ms: number) => [...attempts(94), ...attempts(6, { ms })]
  t.match(judgeLoad(slow(2000), LOAD), { verdict: 'fail', evidence: { p95Ms: 2000 } })
  t.match(judgeLoad(slow(1999.9), LOAD), { verdict: 'pass' })
})

t.test('the 95th percentile is the nearest rank over all answers, whatever their status', async t => {
  const five = [...attempts(95), ...attempts(5, { ms: 9000 })]
  t.match(
    judgeLoad(five, LOAD),
    { verdict: 'pass', evidence: { p95Ms: 100, maxMs: 9000 } },
    'the 95th of 100',
  )
  const six = [...attempts(94), ...attempts(2, { ms: 9000 }), ...attempts(4, { ms: 9000, status: 503 })]
  t.match(judgeLoad(six, LOAD), { verdict: 'fail', evidence: { p95Ms: 9000, succeeded: 96 } }, 'errors count')
  t.match(judgeLoad(attempts(1, { ms: 7 }), LOAD), { evidence: { p95Ms: 7, p50Ms: 7 } })
})

t.test('what is not answered counts as asked', async t => {
  const none = { status: null, ms: 30_000 }
  const judged = judgeLoad(
    [...attempts(95), ...attempts(4, { ...none, timedOut: true }), ...attempts(1, none)],
    LOAD,
  )
  t.match(judged, {
    verdict: 'fail',
    evidence: { requests: 100, succeeded: 95, timedOut: 4, broken: 1, p95Ms: 100 },
  })
  t.match(judgeLoad(attempts(3, none), LOAD), {
    verdict: 'fail',
    reason: /none was answered at all/,
    evidence: { p95Ms: null },
  })
})

t.test('redirects and client errors are no successes', async t => {
  t.match(judgeLoad([...attempts(95), ...attempts(5, { status: 302 })], LOAD), { verdict: 'fail' })
  t.match(judgeLoad([...attempts(95), ...attempts(5, { status: 400 })], LOAD), { verdict: 'fail' })
  t.match(judgeLoad([...attempts(95), ...attempts(5, { status: 204 })], LOAD), { verdict: 'pass' })
})

const RESOURCES = {
  requests: 50,
  loadedBytes: 300 * MIB,
  peakBytes: null,
  limitBytes: 512 * MIB,
  exits: [],
  running: true,
}

t.test('memory of exactly the limit is within it, a byte more is not', async t => {
  const limit = 512 * MIB
  t.match(judgeResources({ ...RESOURCES, loadedBytes: limit }), {
    verdict: 'pass',
    reason: '512 MiB at most during 50 requests, limit 512 MiB, no restart',
  })
  t.match(judgeResources({ ...RESOURCES, loadedBytes: limit + 1 }), {
    verdict: 'fail',
    reason: /^too much memory/,
  })
  t.match(
    judgeResources({ ...RESOURCES, peakBytes: limit + 1 }),
    { verdict: 'fail' },
    'also between two looks',
  )
  t.match(judgeResources({ ...RESOURCES, loadedBytes: null }), { verdict: 'error' }, 'not knowing is no pass')
})

t.test('only the kernel and the memory limit make an OOM, however much a crash had', async t => {
  const judge = (...exits: SeenExit[]) => judgeResources({ ...RESOURCES, exits })
  t.match(judge(CRASH), {
    verdict: 'fail',
    reason: 'its process ended once, last: ended with code 3 (not for memory)',
  })
  const killed = {
    ...CRASH,
    cause: 'memory-limit',
    limitBytes: 512 * MIB,
    reason: '900 MiB are resident',
  } as const
  t.match(judge(killed, CRASH), {
    verdict: 'fail',
    reason: 'OOM: ended by its memory limit, 900 MiB at its peak, limit 512 MiB (900 MiB are resident)',
  })
  const byKernel = {
    ...CRASH,
    cause: 'out-of-memory',
    code: null,
    signal: 'SIGKILL',
    peakBytes: null,
  } as const
  t.match(judge(byKernel), { verdict: 'fail', reason: /^OOM: ended by the kernel, its peak is not known/ })
  t.match(
    judge({ ...CRASH, cause: 'unknown' }),
    { verdict: 'pass' },
    'an end that nobody saw is not held against it',
  )
  t.notOk(describeExits([{ ...CRASH, cause: 'unknown' }]))
})

t.test('a version without a process is pending', async t => {
  t.match(judgeResources({ ...RESOURCES, running: false }), { verdict: 'fail', reason: /^pending/ })
})

t.test('the sign test is exact', async t => {
  t.equal(signTest(5, 0), 1 / 32)
  t.equal(signTest(4, 0), 1 / 16)
  t.equal(signTest(0, 0), 1)
  t.equal(signTest(0, 9), 1)
  t.equal(signTest(9, 1), 11 / 1024)
  t.ok(Math.abs(signTest(100, 99) - 0.5) < 1e-12, 'also of many')
})

/** So many photos that both know, only production, only the candidate, and neither. */
function photos(both: number, onlyProduction: number, onlyCandidate: number, neither: number): Answered[] {
  const of = (count: number, candidate: boolean, production: boolean) =>
    Array.from({ length: count }, () => ({ candidate, production }))
  return [
    ...of(both, true, true),
    ...of(onlyProduction, false, true),
    ...of(onlyCandidate, true, false),
    ...of(neither, false, false),
  ]
}

const QUALITY = { productionVersion: '1', settings: { below: 0.02 } }

t.test('from 200 photos on, exactly 2 points lower passes and more fails', async t => {
  t.match(judgeQuality({ answered: photos(100, 4, 0, 96), ...QUALITY }), {
    verdict: 'pass',
    evidence: { photos: 200, pValue: null },
  })
  t.match(judgeQuality({ answered: photos(100, 5, 0, 95), ...QUALITY }), {
    verdict: 'fail',
    reason:
      '100 of 200 photos right (50 %), production (version 1) 105 (52.5 %): 2.5 points lower, 2 points are allowed',
    evidence: { correct: 100, production: { version: '1', correct: 105 }, onlyProduction: 5, pValue: null },
  })
})

t.test('below 200 photos a difference fails only where the sign test finds it at 5 %', async t => {
  t.match(judgeQuality({ answered: photos(10, 4, 0, 8), ...QUALITY }), {
    verdict: 'pass',
    reason: /which may be chance: 4 only production knows, 0 only this one \(sign test p = 0\.063/,
  })
  t.match(judgeQuality({ answered: photos(10, 5, 0, 7), ...QUALITY }), {
    verdict: 'fail',
    evidence: { pValue: 1 / 32 },
  })
  t.match(judgeQuality({ answered: photos(100, 5, 0, 94), ...QUALITY }), { verdict: 'fail' }, '199 photos')
  t.match(
    judgeQuality({ answered: photos(100, 9, 4, 86), ...QUALITY }),
    { verdict: 'pass' },
    '5 fewer of 199, by 9 to 4',
  )
  t.match(judgeQuality({ answered: photos(190, 3, 0, 6), ...QUALITY }), {
    verdict: 'pass',
    evidence: { pValue: null },
  })
})

t.test('better, or alone, passes, unless a least accuracy is asked for', async t => {
  t.match(judgeQuality({ answered: photos(10, 0, 5, 5), ...QUALITY }), { verdict: 'pass' })
  const alone = photos(10, 0, 0, 10).map(({ candidate }) => ({ candidate, production: null }))
  const first = { answered: alone, productionVersion: null }
  t.match(judgeQuality({ ...first, settings: { below: 0.02 } }), {
    verdict: 'pass',
    reason: '10 of 20 photos right (50 %); nothing is in production to compare with',
  })
  t.match(judgeQuality({ ...first, settings: { below: 0.02, atLeast: 0.5 } }), { verdict: 'pass' })
  t.match(judgeQuality({ ...first, settings: { below: 0.02, atLeast: 0.51 } }), { verdict: 'fail' })
})

t.test("a webhook's verdict counts, and what tells nothing about the version is an error", async t => {
  const judge = (status: number, answer: string) => judgeAnswer('http://x', status, answer).verdict
  t.equal(judge(200, ''), 'pass')
  t.equal(judge(204, ''), 'pass')
  t.equal(judge(200, '{"ok":true}'), 'pass')
  t.equal(judge(200, '{"verdict":"fail","reason":"too spicy"}'), 'fail')
  t.match(judgeAnswer('http://x', 200, '{"verdict":"fail","reason":"too spicy"}'), { reason: 'too spicy' })
  t.equal(judge(200, '{"verdict":"error"}'), 'error')
  t.equal(judge(200, '{"verdict":"maybe"}'), 'error')
  t.equal(judge(403, 'no'), 'fail')
  t.equal(judge(500, '{"verdict":"pass"}'), 'error')
  t.equal(judge(302, ''), 'error')
})

t.test('nothing proven about copies is an error and no pass', async t => {
  const decision = {
    t: 1,
    action: 'hold',
    e: 1,
    threshold: 100,
    cause: null,
    u: 1,
    exposure: { stable: 9, candidate: 9 },
    reason: 'comparing: 9 of 9 pairs agree',
  } as const
  t.match(judgeComparison(undefined, 0, 5000), {
    verdict: 'error',
    reason: 'no live request was copied to it within 5 s',
  })
  t.match(judgeComparison(decision, 3, 5000), {
    verdict: 'error',
    reason: /nothing is proven after 5 s/,
    evidence: { pairs: 9, looks: 3 },
  })
  t.match(judgeComparison({ ...decision, action: 'advance' }, 3, 5000), { verdict: 'pass' })
  t.match(judgeComparison({ ...decision, action: 'withdraw' }, 3, 5000), { verdict: 'fail' })
})

t.test('the settings have the defaults that are documented, and refuse what they do not know', async t => {
  t.match(gateSettings.parse({}), {
    integration: { tests: 5 },
    resources: { memoryLimitMiB: 512 },
    load: { requests: 100, concurrent: 10, successAbove: 0.95, p95BelowMs: 2000 },
    quality: { below: 0.02 },
    shadow: undefined,
    commands: [],
    webhooks: [],
  })
  t.match(gateSettings.parse({ load: false, shadow: {} }), {
    load: false,
    shadow: { percent: 100, agreement: { atLeast: 0.98 } },
  })
  t.throws(() => gateSettings.parse({ loda: {} }), /loda/)
  t.throws(() => gateSettings.parse({ commands: [{ name: 'load', argv: ['true'] }] }), /must differ/)
  const twice = { name: 'a', argv: ['true'] }
  t.throws(() => gateSettings.parse({ commands: [twice, twice] }), /must differ/)
})
