import type { SeenExit } from '../../controller/runtime/facts.ts'

export const MIB = 2 ** 20

/** A process that ended by itself, badly. */
export const CRASH: SeenExit = {
  at: 5000,
  pid: 7,
  cause: 'crash',
  code: 3,
  signal: null,
  peakBytes: 900 * MIB,
  limitBytes: null,
  reason: 'ended with code 3',
}
