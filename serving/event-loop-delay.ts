import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'

/** The looks cost half a percent of a core; what holds the thread up for less goes unseen. */
const LOOK_EVERY_MS = 2
const LONGEST_US = 60_000_000

/** In seconds. */
export interface Spread {
  readonly p99: number
  readonly max: number
}

export interface EventLoopReading {
  /** By how much the thread came late: its own work, or that others had the cores. */
  readonly delay: Spread
  /** What the thread itself computed between two looks, so at least as much as it ever computed in one go. */
  readonly busy: Spread
}

/**
 * How long this thread is held up. Each reading begins a new window. (prom-client's nodejs_eventloop_lag_ looks every 10 ms
 * and counts those in.)
 */
export function watchEventLoop(): () => EventLoopReading {
  const delays = monitorEventLoopDelay({ resolution: LOOK_EVERY_MS })
  delays.enable()
  const computed = createHistogram({ lowest: 1, highest: LONGEST_US, figures: 2 })
  let beforeUs = threadCpuUs()
  setInterval(() => {
    const nowUs = threadCpuUs()
    computed.record(Math.min(LONGEST_US, Math.max(1, nowUs - beforeUs)))
    beforeUs = nowUs
  }, LOOK_EVERY_MS).unref()
  return () => {
    const late = (ns: number) => Math.max(0, ns / 1e9 - LOOK_EVERY_MS / 1000)
    const reading = {
      delay: { p99: late(delays.percentile(99)), max: late(delays.max) },
      busy: { p99: computed.percentile(99) / 1e6, max: computed.count === 0 ? 0 : computed.max / 1e6 },
    }
    delays.reset()
    computed.reset()
    return reading
  }
}

function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}
