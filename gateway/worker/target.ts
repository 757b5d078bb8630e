import type { EndpointReport, EndpointState } from '../messages.ts'
import { createConnections, type Connections } from '../upstream/connections.ts'

/** One endpoint of one variant, with its connections. It outlives the policies that name it and goes when it is idle. */
export interface Target {
  readonly key: string
  readonly endpoint: string
  state: EndpointState
  inFlight: number
  /** Made on first use. */
  connections(): Connections
  succeeded(): void
  failed(): void
  /** No policy names it any more; connections close when the last request is done. */
  retire(): void
  /** Named again. */
  revive(): void
  released(): void
  /** Failures since the last report, if there is something to tell. */
  takeReport(): EndpointReport | undefined
}

export interface TargetOptions {
  readonly key: string
  readonly endpoint: string
  readonly connectTimeoutMs: number
  /** Called when there is something to report. */
  readonly onReport: () => void
}

export function createTarget({ key, endpoint, connectTimeoutMs, onReport }: TargetOptions): Target {
  let connections: Connections | undefined
  let retired = false
  let failures = 0
  let answered = false
  let suspected = false
  const closeWhenIdle = () => {
    if (!retired || target.inFlight > 0 || !connections) return
    connections.close()
    connections = undefined
  }
  const target: Target = {
    key,
    endpoint,
    state: 'up',
    inFlight: 0,
    connections: () => (connections ??= createConnections(endpoint, { connectTimeoutMs })),
    succeeded() {
      answered = true
      if (!suspected && target.state !== 'trial') return
      suspected = false
      failures = 0
      onReport()
    },
    failed() {
      failures++
      suspected = true
      onReport()
    },
    retire() {
      retired = true
      closeWhenIdle()
    },
    revive() {
      retired = false
    },
    released() {
      target.inFlight--
      closeWhenIdle()
    },
    takeReport() {
      if (failures === 0 && !answered) return undefined
      const report = { key, failures, answered }
      failures = 0
      answered = false
      return report
    },
  }
  return target
}

/**
 * Of two targets chosen at random, the one with less in flight: nearly as good as looking at all, and free of the herd that
 * follows the one least loaded (Mitzenmacher, 2001). `undefined` when none takes requests.
 */
export function pickTarget(
  targets: readonly Target[],
  tried: readonly Target[],
  random: () => number = Math.random,
): Target | undefined {
  const [only] = targets
  if (targets.length === 1) return only && isOpen(only) && !tried.includes(only) ? only : undefined
  const open = targets.filter(target => isOpen(target) && !tried.includes(target))
  return lessLoaded(open, random)
}

/** When none takes requests and there is nobody else to ask: better an ejected one than a certain refusal. */
export function pickDesperately(targets: readonly Target[], tried: readonly Target[]): Target | undefined {
  return lessLoaded(
    targets.filter(target => !tried.includes(target)),
    Math.random,
  )
}

export function isOpen({ state, inFlight }: Target): boolean {
  return state === 'up' || (state === 'trial' && inFlight === 0)
}

function lessLoaded(targets: readonly Target[], random: () => number): Target | undefined {
  if (targets.length <= 1) return targets[0]
  const first = Math.floor(random() * targets.length)
  const second = (first + 1 + Math.floor(random() * (targets.length - 1))) % targets.length
  const [a, b] = [targets[first], targets[second]]
  return a && b && b.inFlight < a.inFlight ? b : a
}
