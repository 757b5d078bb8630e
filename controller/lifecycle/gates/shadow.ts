import type { ShadowGateSettings } from '../../../contract/gate.ts'
import type { Decision } from '../../../contract/history.ts'
import { rolloutSpec } from '../../../contract/rollout.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Evidence } from '../../evidence/evidence.ts'
import { createJudgeFor } from '../../judge/judge-for.ts'
import { PAIR_COUNTERS } from '../../judge/shadow.ts'
import { createGate, type Gate, type GateSubject, type Measured } from './gate.ts'

/** The route on which live requests are copied to the version, as its variant `candidate`. */
export interface Mirroring {
  readonly route: string
  /** Copies that share of the live requests, percent, from now on; the result ends it. */
  start(subject: GateSubject, percent: number): Promise<() => Promise<void>>
}

export interface ShadowOptions {
  readonly settings: ShadowGateSettings
  readonly evidence: Evidence
  readonly mirroring: Mirroring
  readonly clock: Clock
}

/** Whether it answers copies of live requests as production answers them, on the evidence that the shadow strategy needs. */
export function createShadowGate({ settings, evidence, mirroring, clock }: ShadowOptions): Gate {
  return createGate('shadow', clock, async (subject, signal) => {
    const stop = await mirroring.start(subject, settings.percent)
    try {
      return await compare({ settings, evidence, mirroring, clock }, signal)
    } finally {
      await stop()
    }
  })
}

async function compare(
  { settings, evidence, mirroring, clock }: ShadowOptions,
  signal: AbortSignal,
): Promise<Measured> {
  const { within, interval, percent, agreement, failures, latency, level } = settings
  const compared = { percent, agreement, failures, level, ...(latency && { latency }) }
  // the judge knows a comparison as a part of a rollout
  const { route } = mirroring
  const judge = createJudgeFor(
    rolloutSpec.parse({ route, modelVersion: '-', strategy: { shadow: compared } }),
  )
  const until = clock.now() + within
  let looks = 0
  let last: Decision | undefined
  while (!signal.aborted) {
    const seen = await evidence.look(route, PAIR_COUNTERS)
    if (seen.kind === 'look') {
      looks += 1
      last = judge.step({ ...seen.look, weights: {} })
      if (last.action !== 'hold') break
    }
    if (clock.now() >= until) break
    await clock.sleep(interval, signal)
  }
  return judgeComparison(last, looks, within)
}

export function judgeComparison(decision: Decision | undefined, looks: number, withinMs: number): Measured {
  const seconds = withinMs / 1000
  if (decision === undefined)
    return {
      verdict: 'error',
      reason: `no live request was copied to it within ${seconds} s`,
      evidence: null,
    }
  const { action, e, threshold, exposure, reason } = decision
  const evidence = {
    gate: 'shadow',
    pairs: exposure.candidate,
    looks,
    e,
    threshold,
    description: reason,
  } as const
  switch (action) {
    case 'advance':
      return { verdict: 'pass', reason, evidence }
    case 'withdraw':
      return { verdict: 'fail', reason, evidence }
    case 'hold':
      return { verdict: 'error', reason: `nothing is proven after ${seconds} s, ${reason}`, evidence }
  }
}
