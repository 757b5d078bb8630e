import {
  answered,
  atEnd,
  hook,
  onRequest,
  seconds,
  stepsOf,
  underWay,
  verb,
  type Script,
} from './crash-scripts.ts'

/** Those in which somebody else's system decides. */
export const HOOKED: Readonly<Record<string, Script>> = {
  'a webhook that asks for a withdrawal': {
    spec: onRequest,
    happenings: [...underWay, answered(true), ...atEnd],
  },
  'steps that others do': {
    spec: stepsOf({ hook }, { setWeight: 10 }, { hook }, { hook }),
    happenings: [
      ...seconds(3),
      answered(true),
      ...seconds(4),
      answered(false),
      ...seconds(2),
      answered(true),
      ...seconds(1),
      answered(true),
      ...atEnd,
    ],
  },
  'a step that others fail': {
    spec: stepsOf({ setWeight: 10 }, { hook }),
    happenings: [...seconds(5), answered(false), ...seconds(2), answered(false), ...atEnd],
  },
  'a webhook that asks for a withdrawal of what is paused': {
    spec: onRequest,
    happenings: [...underWay, verb('pause'), answered(true), ...atEnd],
  },
}
