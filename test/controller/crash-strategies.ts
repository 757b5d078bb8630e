import {
  analysis,
  candidateIs,
  failing,
  later,
  seconds,
  stepsOf,
  verb,
  type Happening,
  type Script,
} from './crash-scripts.ts'

/** Seconds in which so many answers of a shadow are compared with stable's, by result. */
function copies(count: number, results: Readonly<Record<string, number>>): Happening[] {
  return seconds(count).map(({ outside, act }) => ({
    outside(world) {
      world.gateway.compare(results)
      outside?.(world)
    },
    act,
  }))
}

const pinned = { sticky: { header: 'x-user-id' } }
const goal = { label: 'correct' }
const regions = { candidate: ['eu'], 'arm-3': ['us'] }

/** Seconds in which so many of 20 users of each arm report that its answer was right. */
function users(count: number, right: Readonly<Record<string, number>>): Happening[] {
  return seconds(count).map(({ outside, act }) => ({
    outside(world) {
      for (const [variant, correct] of Object.entries(right)) {
        const labels = { variant, epoch: String(world.gateway.version()) }
        world.gateway.count('weir_feedback_total', { ...labels, correct: 'true' }, correct)
        world.gateway.count('weir_feedback_total', { ...labels, correct: 'false' }, 20 - correct)
      }
      outside?.(world)
    },
    act,
  }))
}

const blueGreen = (settings: object) => ({
  strategy: { blueGreen: { record: '2s', ...settings } },
  analysis: { ...analysis, watch: '5s' },
})
const recreate = (settings: object) => ({
  strategy: { recreate: settings },
  analysis: { ...analysis, watch: '6s', successRate: { atLeast: 0.95 } },
})

/** Each strategy to its good and to its bad end. */
export const STRATEGIES: Readonly<Record<string, Script>> = {
  'blue-green, promoted': {
    spec: blueGreen({}),
    happenings: [...seconds(6), ...seconds(14)],
  },
  'blue-green, approved and switched back on evidence': {
    spec: blueGreen({ approval: true }),
    happenings: [...seconds(8), verb('approve'), ...seconds(2), ...seconds(8, failing)],
  },
  'a canary with testers and an analysis': {
    spec: stepsOf(
      { headerRoute: { header: 'x-tester', value: 'yes' } },
      { setWeight: 10 },
      { analysis: { minRequests: 100 } },
    ),
    happenings: seconds(16),
  },
  'recreate, promoted': {
    runsStable: true,
    spec: recreate({ announce: '3s' }),
    happenings: seconds(24),
  },
  'recreate, withdrawn on evidence': {
    runsStable: true,
    spec: recreate({}),
    happenings: seconds(24, failing),
  },
  'recreate, whose new version never gets ready': {
    runsStable: true,
    spec: recreate({}),
    happenings: [candidateIs('loading'), ...seconds(6), later(1), ...seconds(8)],
  },
  'a/b, won': {
    policy: pinned,
    spec: { strategy: { ab: { goal } }, analysis },
    happenings: users(25, { stable: 8, candidate: 17 }),
  },
  'a/b, lost': {
    policy: pinned,
    spec: { strategy: { ab: { goal, approval: true } }, analysis },
    happenings: users(25, { stable: 17, candidate: 8 }),
  },
  'a/b of three, the third won': {
    policy: pinned,
    spec: { strategy: { ab: { goal, arms: [{ version: '3', weight: 30 }], weight: 30 } }, analysis },
    happenings: users(25, { stable: 8, candidate: 8, 'arm-3': 17 }),
  },
  'a/b of three, one withdrawn, the other approved': {
    policy: pinned,
    spec: { strategy: { ab: { goal, arms: [{ version: '3' }], approval: true } }, analysis },
    happenings: [
      ...users(20, { stable: 14, candidate: 4, 'arm-3': 14 }),
      ...users(20, { stable: 8, candidate: 8, 'arm-3': 18 }),
      verb('approve'),
      ...seconds(3),
    ],
  },
  'a/b of three, one withdrawn while paused, then the other': {
    policy: pinned,
    spec: { strategy: { ab: { goal, arms: [{ version: '3' }] } }, analysis },
    happenings: [
      ...users(5, { stable: 14, candidate: 14, 'arm-3': 14 }),
      verb('pause'),
      ...users(20, { stable: 14, candidate: 14, 'arm-3': 4 }),
      ...users(20, { stable: 16, candidate: 4, 'arm-3': 4 }),
    ],
  },
  'a/b by a header, aborted': {
    spec: {
      strategy: { ab: { goal, arms: [{ version: '3' }], by: { header: 'x-region', values: regions } } },
      analysis,
    },
    happenings: [...users(6, { stable: 14, candidate: 14, 'arm-3': 14 }), verb('abort'), ...seconds(3)],
  },
  'shadow, promoted': {
    spec: { strategy: { shadow: {} }, analysis },
    happenings: copies(25, { agree: 50 }),
  },
  'shadow, dropped': {
    spec: { strategy: { shadow: { approval: true } }, analysis },
    happenings: [...copies(4, { agree: 50 }), ...copies(16, { agree: 30, disagree: 20 })],
  },
}
