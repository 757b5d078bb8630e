import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Drift } from './drift.ts'
import { watchEventLoop } from './event-loop-delay.ts'
import type { Observation, StageTimes } from './inference-messages.ts'

export type Outcome = 'success' | 'client_error' | 'failure' | 'shed' | 'dropped'

export interface MeasuredModel {
  readonly name: string
  readonly version: string
  readonly sessionBytes?: number
  readonly workers?: number
  readonly drift?: Drift | undefined
  /** Of a command that is served instead of a model. */
  readonly serverBytes?: () => number | undefined
}

const STAGE_BOUNDS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]
const SHARE_BOUNDS = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
const ASPECT_BOUNDS = [0.25, 0.5, 0.7, 0.9, 1.1, 1.4, 2, 4]
const MEGAPIXEL_BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32]

/** The process's metrics, as design.md names them. `queueDepth` is asked at each scrape. */
export function createServingMetrics(queueDepth: () => number) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  let model: MeasuredModel | undefined
  let heldBodiesBytes = (): number => 0

  const requests = new Counter({
    name: 'weir_serving_requests_total',
    help: 'Answered requests for a prediction.',
    labelNames: ['model', 'version', 'outcome'],
    registers,
  })
  const customStatus = new Counter({
    name: 'requests_total',
    help: 'Answers by how a canary dashboard commonly asks for them.',
    labelNames: ['custom_status'],
    registers,
  })
  const stages = new Histogram({
    name: 'weir_serving_stage_seconds',
    help: 'Time in each stage of a prediction.',
    labelNames: ['stage'],
    buckets: STAGE_BOUNDS_SECONDS,
    registers,
  })
  const shed = new Counter({
    name: 'weir_serving_shed_total',
    help: 'Requests refused because there were too many.',
    labelNames: ['reason'],
    registers,
  })
  const restarts = new Counter({
    name: 'weir_serving_restarts_total',
    help: 'Times that the command of a version without a model was started again.',
    registers,
  })
  const features = featureHistograms(registers)
  addGauges({ registers, queueDepth, heldBodiesBytes: () => heldBodiesBytes(), model: () => model })

  return {
    setModel(measured: MeasuredModel) {
      model = measured
      for (const status of ['good', 'bad']) customStatus.inc({ custom_status: status }, 0)
    },
    /** `heldBytes` is asked at each scrape. */
    measureBodies(heldBytes: () => number) {
      heldBodiesBytes = heldBytes
    },
    countRequest(outcome: Outcome) {
      requests.inc({ model: model?.name ?? '', version: model?.version ?? '', outcome })
      if (outcome === 'success') customStatus.inc({ custom_status: 'good' })
      if (outcome === 'failure' || outcome === 'shed') customStatus.inc({ custom_status: 'bad' })
    },
    countRestart: () => restarts.inc(),
    countShed: (reason: string) => shed.inc({ reason }),
    observeQueue: (queueMs: number) => stages.observe({ stage: 'queue' }, queueMs / 1000),
    observeStages({ decodeMs, preprocessMs, inferMs }: StageTimes) {
      stages.observe({ stage: 'decode' }, decodeMs / 1000)
      if (inferMs === 0) return
      stages.observe({ stage: 'preprocess' }, preprocessMs / 1000)
      stages.observe({ stage: 'infer' }, inferMs / 1000)
    },
    observeImage(observation: Observation) {
      model?.drift?.observe(observation)
      features.observe(observation)
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
export type ServingMetrics = ReturnType<typeof createServingMetrics>

/** One metric in three histograms: a share of 1, a ratio of sides and megapixels need bounds of their own. */
function featureHistograms(registers: Registry[]) {
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, labelNames: ['feature'], buckets, registers })
  const shares = histogram(
    'weir_serving_feature',
    'Features of the images, as shares of their range.',
    SHARE_BOUNDS,
  )
  const aspect = histogram('weir_serving_aspect_ratio', 'Width over height of the images.', ASPECT_BOUNDS)
  const size = histogram('weir_serving_megapixels', 'Size of the images.', MEGAPIXEL_BOUNDS)
  return {
    observe({ features, entropy }: Observation) {
      const { brightness, contrast, saturation, sharpness } = features
      for (const [feature, value] of Object.entries({
        brightness,
        contrast,
        saturation,
        sharpness,
        entropy,
      })) {
        shares.observe({ feature }, value)
      }
      aspect.observe(features.aspectRatio)
      size.observe(features.megapixels)
    },
  }
}

interface GaugeOptions {
  readonly registers: Registry[]
  readonly queueDepth: () => number
  readonly heldBodiesBytes: () => number
  readonly model: () => MeasuredModel | undefined
}

function addGauges({ registers, queueDepth, heldBodiesBytes, model }: GaugeOptions): void {
  const gauge = (name: string, help: string, read: () => number | undefined) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const value = read()
        if (value !== undefined) this.set(value)
      },
    })
  gauge('weir_serving_queue_depth', 'Requests that wait for an inference thread.', queueDepth)
  gauge('weir_serving_held_body_bytes', 'Bodies that arrive, wait or are computed.', heldBodiesBytes)
  gauge('weir_serving_workers', 'Inference threads.', () => model()?.workers)
  gauge('weir_serving_session_bytes', 'Resident memory that one session took.', () => model()?.sessionBytes)
  gauge('weir_serving_command_bytes', 'Memory of the command of a version without a model.', () =>
    model()?.serverBytes?.(),
  )
  gauge('weir_serving_drift_samples', 'Images that weir_serving_psi compares.', () =>
    model()?.drift?.samples(),
  )
  addEventLoopGauges(registers)
  const psi = new Gauge({
    name: 'weir_serving_psi',
    help: 'Population stability index against the profile of the manifest.',
    labelNames: ['feature'],
    registers,
    collect() {
      for (const [feature, value] of model()?.drift?.psi() ?? []) psi.set({ feature }, value)
    },
  })
}

/** Two gauges of one reading, since a reading begins a new window; the first that is collected takes it. */
function addEventLoopGauges(registers: Registry[]): void {
  const read = watchEventLoop()
  const labelNames = ['quantile']
  const delay = new Gauge({
    name: 'weir_serving_event_loop_delay_seconds',
    help: 'By how much the HTTP thread came late since the last scrape (quantile 1: at most).',
    labelNames,
    registers,
    collect() {
      const reading = read()
      for (const [gauge, { p99, max }] of [
        [delay, reading.delay],
        [busy, reading.busy],
      ] as const) {
        gauge.set({ quantile: '0.99' }, p99)
        gauge.set({ quantile: '1' }, max)
      }
    },
  })
  const busy = new Gauge({
    name: 'weir_serving_event_loop_busy_seconds',
    help: 'Processor time of the HTTP thread between two looks at its timers since the last scrape (quantile 1: at most).',
    labelNames,
    registers,
  })
}
