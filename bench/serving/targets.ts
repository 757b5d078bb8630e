import { NAMES, type Precision } from './contenders.ts'
import type { Figures } from './figures.ts'

export interface Verdict {
  readonly target: string
  readonly measured: string
  /** Undefined where something was not measured. */
  readonly met: boolean | undefined
}

/** The number of connections at which rates are compared. */
export const JUDGED_CONNECTIONS = 8
export const LIMIT = 'the limit without HTTP'
export const keyOf = (name: string, precision: Precision) => `${name}, ${precision}`

const MIN_SHARE_OF_LIMIT = 0.95
const MAX_READY_MS = 1500
const MAX_HEALTH_MS = 20
const MAX_BUSY_MS = 5

const RATIOS: readonly [precision: Precision, peer: string, peerPrecision: Precision, least: number][] = [
  ['fp32', NAMES.FASTAPI, 'fp32', 1.15],
  ['fp32', NAMES.LITSERVE, 'fp32', 1.35],
  ['fp32', NAMES.FLASK, 'fp32', 2],
  ['int8', NAMES.FASTAPI, 'int8', 1.15],
  ['int8', NAMES.FLASK, 'fp32', 3],
]

/** What was promised beside what was measured. */
export function judge(figures: Figures): Verdict[] {
  return [
    ...(['fp32', 'int8'] as const).map(precision => shareOfLimit(figures, precision)),
    ...RATIOS.map(([precision, peer, peerPrecision, least]) =>
      rateRatio(figures, keyOf(NAMES.OURS, precision), keyOf(peer, peerPrecision), least),
    ),
    ...RATIOS.filter(([precision, , peerPrecision]) => precision === peerPrecision).map(([precision, peer]) =>
      latencyRatio(figures, keyOf(NAMES.OURS, precision), keyOf(peer, precision)),
    ),
    atMost('ready, fp32', figures.median(keyOf(NAMES.OURS, 'fp32'), 'ready'), MAX_READY_MS),
    atMost('health p99 at full load', figures.median(keyOf(NAMES.OURS, 'fp32'), 'health p99'), MAX_HEALTH_MS),
    atMost(
      'the HTTP thread, in one go',
      figures.median(keyOf(NAMES.OURS, 'fp32'), 'thread busy'),
      MAX_BUSY_MS,
    ),
  ]
}

function shareOfLimit(figures: Figures, precision: Precision): Verdict {
  return rateRatio(figures, keyOf(NAMES.OURS, precision), keyOf(LIMIT, precision), MIN_SHARE_OF_LIMIT)
}

/** Rates swing with whatever else the machine does; processor time per prediction does so less. */
function rateRatio(figures: Figures, ours: string, other: string, least: number): Verdict {
  const figure = (contender: string, metric: string) =>
    figures.median(contender, `${metric} at ${JUDGED_CONNECTIONS}`)
  const rates = figure(ours, 'rate') / figure(other, 'rate')
  const processorTime = figure(other, 'cpu') / figure(ours, 'cpu')
  return {
    target: `${ours}: at least ${least} x ${other}`,
    measured: `${rates.toFixed(2)} x (by processor time ${processorTime.toFixed(2)} x)`,
    met: known(rates, rates >= least),
  }
}

function latencyRatio(figures: Figures, ours: string, other: string): Verdict {
  const p99 = (contender: string) => figures.median(contender, 'paced p99')
  return {
    target: `${ours}: lower p99 than ${other} at the same rate`,
    measured: `${p99(ours).toFixed(0)} ms, ${p99(other).toFixed(0)} ms`,
    met: known(p99(ours) + p99(other), p99(ours) < p99(other)),
  }
}

function atMost(target: string, value: number, most: number): Verdict {
  return {
    target: `${target}: at most ${most} ms`,
    measured: `${value.toFixed(0)} ms`,
    met: known(value, value <= most),
  }
}

function known(value: number, met: boolean): boolean | undefined {
  return Number.isNaN(value) ? undefined : met
}
