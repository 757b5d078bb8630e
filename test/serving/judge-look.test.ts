import { t } from 'tap'
import type { CustomManifest } from '../../contract/model-manifest.ts'
import { FRESH, judgeLook, pastAfter, type Look } from '../../serving/custom/judge-look.ts'

const MANIFEST: CustomManifest = {
  name: 'custom',
  version: '1',
  memoryLimitMiB: 100,
  server: {
    command: ['x'],
    env: {},
    routes: { live: '/live', ready: '/ready', predict: '/score' },
    startSeconds: 5,
    files: [],
  },
}
const WELL: Look = { ranMs: 100, liveProblem: undefined, readyProblem: undefined, residentBytes: 1e6 }

function judge(looks: readonly Partial<Look>[]): string[] {
  let past = FRESH
  return looks.map(change => {
    const look = { ...WELL, ...change }
    const judgement = judgeLook(look, past, MANIFEST)
    past = pastAfter(look, judgement, past)
    return judgement.kind === 'ready' ? 'ready' : `${judgement.kind}: ${judgement.reason}`
  })
}

t.test('it may be not ready for as long as it starts, no longer', async t => {
  const starting = { readyProblem: 'does not answer', liveProblem: 'does not answer' }
  t.strictSame(judge([starting, starting, starting, { ...starting, ranMs: 5001 }]), [
    'not-ready: /ready does not answer',
    'not-ready: /ready does not answer',
    'not-ready: /ready does not answer',
    'end: not ready after 5 s: /ready does not answer',
  ])
})

t.test('once it was ready, three looks in a row without life end it', async t => {
  const dead = { liveProblem: 'answers 500' }
  t.strictSame(judge([{}, dead, dead, {}, dead, dead, dead]), [
    'ready',
    'ready',
    'ready',
    'ready',
    'ready',
    'ready',
    'end: /live answers 500',
  ])
})

t.test('not being ready later ends nothing', async t => {
  const busy = { readyProblem: 'answers 503', ranMs: 60_000 }
  t.strictSame(judge([{}, busy, busy, busy, busy, {}]), [
    'ready',
    'not-ready: /ready answers 503',
    'not-ready: /ready answers 503',
    'not-ready: /ready answers 503',
    'not-ready: /ready answers 503',
    'ready',
  ])
})

t.test('too much memory ends it at once; memory that cannot be told does not', async t => {
  t.match(judge([{}, { residentBytes: 105 * 2 ** 20 }]), ['ready', /^end: 105 MiB .* limit of 100 /])
  t.strictSame(judge([{ residentBytes: undefined }]), ['ready'])
})
