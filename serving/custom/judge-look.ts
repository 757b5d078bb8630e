import type { CustomManifest } from '../../contract/model-manifest.ts'
import { overLimit } from '../memory-limit.ts'

/** What one look at a running command found. */
export interface Look {
  readonly ranMs: number
  /** Why a route did not answer 2xx; undefined when it did. */
  readonly liveProblem: string | undefined
  readonly readyProblem: string | undefined
  readonly residentBytes: number | undefined
}

/** What earlier looks at the same run found. */
export interface Past {
  readonly wasReady: boolean
  /** Looks in a row that found it not alive. */
  readonly deadLooks: number
}

export const FRESH: Past = { wasReady: false, deadLooks: 0 }

export type Judgement =
  | { readonly kind: 'ready' }
  | { readonly kind: 'not-ready'; readonly reason: string }
  /** It is to be ended and started again. */
  | { readonly kind: 'end'; readonly cause: 'memory-limit' | 'unhealthy'; readonly reason: string }

/** One unanswered question may be a busy moment. */
const DEAD_AFTER_LOOKS = 3

export function judgeLook(look: Look, past: Past, { server, memoryLimitMiB }: CustomManifest): Judgement {
  const { ranMs, liveProblem, readyProblem, residentBytes = 0 } = look
  if (residentBytes > memoryLimitMiB * 2 ** 20)
    return { kind: 'end', cause: 'memory-limit', reason: overLimit(residentBytes, memoryLimitMiB) }
  if (past.wasReady && liveProblem !== undefined && past.deadLooks + 1 >= DEAD_AFTER_LOOKS) {
    return { kind: 'end', cause: 'unhealthy', reason: `${server.routes.live} ${liveProblem}` }
  }
  if (readyProblem === undefined) return { kind: 'ready' }
  const reason = `${server.routes.ready} ${readyProblem}`
  if (!past.wasReady && ranMs > server.startSeconds * 1000) {
    return { kind: 'end', cause: 'unhealthy', reason: `not ready after ${server.startSeconds} s: ${reason}` }
  }
  return { kind: 'not-ready', reason }
}

export function pastAfter(look: Look, judgement: Judgement, past: Past): Past {
  return {
    wasReady: past.wasReady || judgement.kind === 'ready',
    deadLooks: look.liveProblem === undefined ? 0 : past.deadLooks + 1,
  }
}
