import { styleText } from 'node:util'
import type { Rollout } from '../../client/controller.ts'
import { quantileOf, type LoadResult } from '../load/steady-load.ts'
import { bar } from '../render/live.ts'
import { formatEvidence } from '../render/rollout.ts'

interface FrameOptions {
  readonly elapsed: string
  /** Percent per variant. */
  readonly weights: Readonly<Record<string, number>>
  readonly load: LoadResult
  readonly rollout: Rollout | null
}

const BAR_WIDTH = 24

/** What the live view shows: who gets traffic, what clients see, what the judge thinks. */
export function frame({ elapsed, weights, load, rollout }: FrameOptions): string[] {
  const { stable = 0, candidate = 0 } = weights
  return [
    '',
    `  traffic  stable    ${styleText('green', bar(stable / 100, BAR_WIDTH))} ${stable} %`,
    `           candidate ${styleText('cyan', bar(candidate / 100, BAR_WIDTH))} ${candidate} %`,
    `  clients  ${elapsed}  ${load.sent} sent, ${failures(load.failed)}, success ${success(load)} %, p95 ${latency(load)} ms, ${load.fallbacks} saved by fallback`,
    `  judge    ${rollout === null ? 'no rollout under way' : judgement(rollout)}`,
  ]
}

function failures(failed: number): string {
  return styleText(failed === 0 ? 'green' : 'red', `${failed} failed`)
}

function success({ answered, failed }: LoadResult): string {
  return answered === 0 ? '–' : ((100 * (answered - failed)) / answered).toFixed(2)
}

function latency({ recentMs }: LoadResult): string {
  return recentMs.length === 0 ? '–' : quantileOf(recentMs, 0.95).toFixed(0)
}

function judgement({ decision, message, phase }: Rollout): string {
  if (decision === null) return `${phase}: ${message}`
  const { e, threshold, u, exposure } = decision
  return `harm ${formatEvidence(e)} of ${threshold}, excess ≤ ${(u * 100).toFixed(1)} pp, on ${exposure.candidate} candidate requests`
}
