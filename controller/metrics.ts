import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Decision } from '../contract/history.ts'
import { PHASES } from '../contract/rollout.ts'
import type { Alert } from './alerts/alerts.ts'
import type { Settled } from './alerts/deliver.ts'
import type { Evidence } from './evidence/evidence.ts'
import type { Figures } from './rollouts/assessor.ts'
import type { StoredRollout } from './rollouts/rollout-store.ts'

export type ControllerMetrics = ReturnType<typeof createControllerMetrics>

const LOOP_BOUNDS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/**
 * The controller's own metrics. Weight, phase and warnings are read from the store at each scrape: they are what lasts, also
 * through a restart. `latest` gives one rollout for each route, so the number of series grows with routes, not with time.
 */
export function createControllerMetrics(
  latest: () => readonly StoredRollout[],
  firing: () => readonly Alert[],
) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  addRolloutGauges(registers, latest)
  addAlertGauge(registers, firing)
  const evidence = createEvidenceGauges(registers)
  const decisions = new Counter({
    name: 'weir_rollout_decisions_total',
    help: 'Looks that were judged, by what the judge said.',
    labelNames: ['route', 'action'],
    registers,
  })
  const loop = new Histogram({
    name: 'weir_controller_loop_seconds',
    help: 'Time from observing to having applied, for one rollout.',
    buckets: LOOP_BOUNDS_SECONDS,
    registers,
  })
  const loopFailures = new Counter({
    name: 'weir_controller_loop_failures_total',
    help: 'Loops that broke off with an error and were tried again.',
    registers,
  })
  const evidenceErrors = new Counter({
    name: 'weir_controller_evidence_errors_total',
    help: 'Readings of a route that failed as a whole or in part.',
    labelNames: ['route'],
    registers,
  })

  const deliveries = new Counter({
    name: 'weir_deliveries_total',
    help: 'Messages that were sent, by what became of it: accepted, refused (it is sent again) or given up.',
    labelNames: ['kind', 'receiver', 'result'],
    registers,
  })

  return {
    timeLoop: () => loop.startTimer(),
    loopFailed: () => loopFailures.inc(),
    judged({ name, route }: StoredRollout, decision: Decision, figures: Figures): void {
      decisions.inc({ route, action: decision.action })
      evidence.set({ rollout: name, route }, decision, figures)
    },
    delivered: ({ kind, receiver, result }: Settled): void => deliveries.inc({ kind, receiver, result }),
    /** Counts a source's failures; no requests yet are none. */
    watch: (source: Evidence): Evidence => ({
      async look(route, beside) {
        const result = await source.look(route, beside)
        const failed = result.kind === 'look' ? result.warnings.length > 0 : result.failed
        if (failed) evidenceErrors.inc({ route })
        return result
      },
    }),
    contentType: registry.contentType,
    render: () => registry.metrics(),
  }
}

function addRolloutGauges(registers: Registry[], latest: () => readonly StoredRollout[]): void {
  const fromStore = (
    described: { name: string; help: string; label?: string },
    fill: (gauge: Gauge, rollout: StoredRollout) => void,
  ) => {
    const { label, ...rest } = described
    const labelNames = ['rollout', 'route', ...(label === undefined ? [] : [label])]
    const collect = function (this: Gauge) {
      this.reset()
      for (const rollout of latest()) fill(this, rollout)
    }
    return new Gauge({ ...rest, labelNames, registers, collect })
  }
  const labels = ({ name, route }: StoredRollout) => ({ rollout: name, route })
  fromStore(
    { name: 'weir_rollout_weight_ratio', help: 'Share of requests that the candidate is to have, 0 to 1.' },
    (gauge, rollout) => gauge.set(labels(rollout), rollout.state.weightBp / 10_000),
  )
  fromStore(
    { name: 'weir_rollout_phase', help: '1 for the phase that it is in.', label: 'phase' },
    (gauge, rollout) => {
      for (const phase of PHASES)
        gauge.set({ ...labels(rollout), phase }, rollout.state.phase === phase ? 1 : 0)
    },
  )
  fromStore(
    { name: 'weir_rollout_warning', help: '1 for each warning that stands.', label: 'warning' },
    (gauge, rollout) => {
      for (const { name } of rollout.state.warnings) gauge.set({ ...labels(rollout), warning: name }, 1)
    },
  )
}

function addAlertGauge(registers: Registry[], firing: () => readonly Alert[]): void {
  const gauge = new Gauge({
    name: 'weir_alerts_firing',
    help: 'Alerts that stand.',
    labelNames: ['alert', 'severity', 'route'],
    registers,
    collect() {
      gauge.reset()
      for (const { alert, severity, labels } of firing())
        gauge.inc({ alert, severity, route: labels['route'] ?? '' })
    },
  })
}

/** Of the rollout that is judged: an older one on the same route goes with its successor's first look. */
function createEvidenceGauges(registers: Registry[]) {
  const labelNames = ['rollout', 'route', 'metric']
  const evidence = new Gauge({
    name: 'weir_rollout_evidence',
    help: 'E-value against "the candidate is healthy", by metric and combined.',
    labelNames,
    registers,
  })
  const bounds = new Gauge({
    name: 'weir_rollout_excess_bound_ratio',
    help: 'Upper bound on the excess over stable, a fraction; 1 is unknown.',
    labelNames,
    registers,
  })
  const last = new Map<string, string>()
  const forget = (labels: { rollout: string; route: string }) => {
    for (const gauge of [evidence, bounds]) for (const metric of METRICS) gauge.remove({ ...labels, metric })
  }
  return {
    set(labels: { rollout: string; route: string }, { e }: Decision, figures: Figures): void {
      const before = last.get(labels.route)
      if (before !== undefined && before !== labels.rollout) forget({ ...labels, rollout: before })
      last.set(labels.route, labels.rollout)
      evidence.set({ ...labels, metric: 'combined' }, e)
      for (const [metric, value] of Object.entries(figures.evidence))
        evidence.set({ ...labels, metric }, value)
      for (const [metric, value] of Object.entries(figures.bounds)) bounds.set({ ...labels, metric }, value)
    },
  }
}

const METRICS = ['combined', 'failure', 'client_error', 'latency', 'absolute'] as const
