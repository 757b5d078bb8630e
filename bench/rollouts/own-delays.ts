import { loadavg } from 'node:os'

// How far this process itself could not run when it wanted to, or had its clock set. What it measures in others is worth no more than
// that: on a machine with too much to do everything is late, and so are the servers under test.

const TICK_MS = 20
/** A machine that has processors to spare is not late by so much. */
const LATE_MS = 250

export interface OwnDelays {
  /** By how much a timer was late at most, how often it was by more than LATE_MS, and how far the clock was set in all. */
  read(): { readonly longestMs: number; readonly late: number; readonly clockSetMs: number }
  stop(): void
}

export function watchOwnDelays(): OwnDelays {
  const offset = () => Date.now() - performance.now()
  const began = offset()
  let last = performance.now()
  let longestMs = 0
  let late = 0
  let clockSetMs = 0
  const timer = setInterval(() => {
    const now = performance.now()
    const delay = now - last - TICK_MS
    last = now
    longestMs = Math.max(longestMs, delay)
    if (delay > LATE_MS) late += 1
    const set = offset() - began
    if (Math.abs(set) > Math.abs(clockSetMs)) clockSetMs = set
  }, TICK_MS)
  return {
    read: () => ({ longestMs, late, clockSetMs }),
    stop: () => clearInterval(timer),
  }
}

export function inWords({ longestMs, late, clockSetMs }: ReturnType<OwnDelays['read']>): string {
  const busy = loadavg().map(load => load.toFixed(1))
  return (
    `the bench's own timers: late by ${longestMs.toFixed(0)} ms at most, ${late} times by more than ${LATE_MS} ms; ` +
    `its clock was set by ${clockSetMs.toFixed(0)} ms at most; load averages at the end ${busy.join(', ')}`
  )
}
