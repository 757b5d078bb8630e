import {
  atEnd,
  byTheClock,
  ejected,
  failing,
  hourOr,
  later,
  manual,
  measured,
  metricIs,
  seconds,
  slow,
  stepsOf,
  underWay,
  verb,
  type Script,
} from './crash-scripts.ts'

/** What a rollout waits for, and for how long. */
export const WAITS: Readonly<Record<string, Script>> = {
  'steps that wait': {
    spec: {
      ...stepsOf(
        { mirror: { percent: 50 } },
        { setWeight: 10 },
        { pause: { duration: '3s' } },
        { pause: { duration: '2s' } },
        { approval: {} },
        { pause: {} },
      ),
      analysis: byTheClock,
    },
    happenings: [
      ...seconds(16),
      verb('pause'),
      verb('resume'),
      ...seconds(2),
      verb('approve'),
      ...seconds(2),
      verb('resume'),
      ...atEnd,
    ],
  },
  'a pause at the end': {
    spec: { ...stepsOf({ setWeight: 10 }, { pause: { duration: '2s' } }), analysis: byTheClock },
    happenings: seconds(12),
  },
  'steps that are skipped': {
    spec: slow,
    happenings: [...underWay, verb('pause'), verb('resume'), verb('skip-step'), ...atEnd],
  },
  'a deadline that pauses': {
    spec: hourOr('pause'),
    happenings: [...underWay, later(2), verb('resume'), ...seconds(2), verb('abort'), ...atEnd],
  },
  'a deadline that pauses what is paused': {
    spec: hourOr('pause'),
    happenings: [...underWay, verb('pause'), later(2), verb('pause'), ...seconds(2)],
  },
  'a deadline that withdraws': { spec: hourOr('rollback'), happenings: [...underWay, later(2), ...atEnd] },
  'a deadline that withdraws what is paused': {
    spec: hourOr('rollback'),
    happenings: [...underWay, verb('pause'), later(2), ...atEnd],
  },
}

/** What comes in between: other hands, evidence, the candidate itself. */
export const INTRUSIONS: Readonly<Record<string, Script>> = {
  'withdrawn on evidence while paused': {
    spec: slow,
    happenings: [...underWay, verb('pause'), ...seconds(6, failing)],
  },
  'weights that somebody else sets': {
    spec: slow,
    happenings: [
      ...underWay,
      manual(60),
      ...seconds(2),
      verb('pause'),
      manual(70),
      verb('resume'),
      ...seconds(2),
    ],
  },
  'weights that somebody else sets while it is paused': {
    spec: slow,
    happenings: [...underWay, verb('pause'), manual(60), ...seconds(2), verb('abort'), ...atEnd],
  },
  'a candidate that is ejected while paused': {
    spec: slow,
    happenings: [...underWay, verb('pause'), ejected(1), ejected(3), ...atEnd],
  },
  'a metric that withdraws what is paused': {
    spec: measured,
    happenings: [...underWay, verb('pause'), metricIs('9'), ...seconds(5)],
  },
  'a metric that cannot be measured': {
    spec: measured,
    happenings: [...underWay, metricIs(undefined), ...seconds(4), metricIs('0'), verb('resume'), ...atEnd],
  },
  'a metric that cannot be measured in a pause': {
    spec: {
      ...measured,
      strategy: { canary: { steps: [{ setWeight: 50 }, { pause: { duration: '1h' } }] } },
    },
    happenings: [...underWay, metricIs(undefined), ...seconds(4)],
  },
}

export const INTERRUPTIONS: Readonly<Record<string, Script>> = { ...WAITS, ...INTRUSIONS }
