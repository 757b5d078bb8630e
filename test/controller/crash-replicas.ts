import {
  analysis,
  byTheClock,
  candidateIs,
  failing,
  later,
  manual,
  seconds,
  verb,
  type Script,
} from './crash-scripts.ts'

const canary = (settings: object, ...steps: object[]) => ({
  strategy: { canary: { ...settings, steps } },
  analysis,
})
const pause = { pause: {} }
const quick = { ramp: { riskBudget: '5pp', to: 95 } }
const rolling = { rolling: true }
const several = { processes: 3, runsStable: true }

/** Versions of several processes beside those of stable, and with a baseline. */
export const REPLICAS: Readonly<Record<string, Script>> = {
  'a canary of several processes, promoted': {
    ...several,
    spec: canary({}, { setWeight: 50 }, quick),
    happenings: seconds(16),
  },
  'a canary of several processes that gets fewer, and is withdrawn': {
    ...several,
    spec: canary({ replicas: 2 }, { setWeight: 90 }, pause, { setWeight: 10 }, pause),
    happenings: [...seconds(6), verb('resume'), ...seconds(6), ...seconds(8, failing)],
  },
  'processes that do not come': {
    ...several,
    spec: canary({}, { setWeight: 10 }, { approval: {} }, { setWeight: 90 }),
    happenings: [
      ...seconds(6),
      candidateIs('loading'),
      verb('approve'),
      ...seconds(3),
      later(1),
      ...seconds(4),
    ],
  },
  'processes that do not come in a pause': {
    ...several,
    spec: {
      ...canary({}, { setWeight: 10 }, { pause: { duration: '3s' } }, { setWeight: 90 }),
      analysis: byTheClock,
    },
    happenings: [...seconds(5), candidateIs('loading'), ...seconds(6), later(1), ...seconds(4)],
  },
  'a promotion whose processes do not come': {
    ...several,
    spec: canary({}, { setWeight: 10 }, pause),
    happenings: [
      ...seconds(6),
      candidateIs('loading'),
      verb('promote'),
      ...seconds(3),
      later(1),
      ...seconds(4),
    ],
  },
  'with a baseline, promoted': {
    ...several,
    spec: canary({ baseline: true }, { setWeight: 40 }, quick),
    happenings: seconds(16),
  },
  'with a baseline, withdrawn on evidence': {
    ...several,
    spec: canary({ baseline: true }, { setWeight: 40 }, pause),
    happenings: [...seconds(8), ...seconds(6, failing)],
  },
  'blue-green of several processes': {
    ...several,
    spec: { strategy: { blueGreen: { record: '2s' } }, analysis: { ...analysis, watch: '5s' } },
    happenings: seconds(20),
  },
}

/** In the places of stable's. */
export const ROLLING: Readonly<Record<string, Script>> = {
  'rolling, promoted': {
    ...several,
    spec: canary(rolling, { setWeight: 10 }, quick),
    happenings: seconds(20),
  },
  'rolling, promoted by a person': {
    ...several,
    spec: canary(rolling, { setWeight: 30 }, pause),
    happenings: [...seconds(6), verb('promote'), ...seconds(8)],
  },
  'rolling, after weights that somebody else set': {
    ...several,
    spec: canary(rolling, { setWeight: 30 }, pause),
    happenings: [...seconds(6), manual(30), ...seconds(2), verb('resume'), ...seconds(8)],
  },
  'rolling, paused after weights that somebody else set': {
    ...several,
    spec: canary(rolling, { setWeight: 30 }, pause),
    happenings: [
      ...seconds(6),
      manual(30),
      ...seconds(2),
      candidateIs('loading'),
      verb('resume'),
      ...seconds(3),
      verb('pause'),
      candidateIs('ready'),
      ...seconds(6),
    ],
  },
}

/** And out of them again. */
export const ROLLED_BACK: Readonly<Record<string, Script>> = {
  'rolling, withdrawn on evidence': {
    ...several,
    spec: canary(rolling, { setWeight: 60 }, pause),
    happenings: [...seconds(8), ...seconds(12, failing)],
  },
  'rolling, aborted': {
    ...several,
    spec: canary(rolling, { setWeight: 60 }, pause),
    happenings: [...seconds(8), verb('abort'), ...seconds(5)],
  },
  'rolling, aborted while it was withdrawn': {
    ...several,
    spec: canary(rolling, { setWeight: 60 }, pause),
    happenings: [
      ...seconds(8),
      candidateIs('loading'),
      ...seconds(6, failing),
      verb('abort'),
      ...seconds(2),
      candidateIs('ready'),
      ...seconds(4),
    ],
  },
  'rolling back by steps': {
    ...several,
    spec: canary(rolling, { setWeight: 60 }, pause, { setWeight: 30 }, pause),
    happenings: [...seconds(8), verb('resume'), ...seconds(4), verb('abort'), ...seconds(4)],
  },
}
