import type { Prediction } from '../../contract/prediction.ts'

export interface Comparison {
  readonly result: 'agree' | 'disagree'
  readonly confidenceDifference: number
  /** Share of the labels in both top-k lists, of the shorter one. */
  readonly topKOverlap: number
}

/** How far a mirrored answer is from the live one. */
export function comparePredictions(live: Prediction, mirrored: Prediction): Comparison {
  return {
    result: live.label === mirrored.label ? 'agree' : 'disagree',
    confidenceDifference: Math.abs(live.confidence - mirrored.confidence),
    topKOverlap: overlap(live.top_k, mirrored.top_k),
  }
}

function overlap(live: Prediction['top_k'], mirrored: Prediction['top_k']): number {
  const k = Math.min(live.length, mirrored.length)
  const labels = new Set(live.slice(0, k).map(({ label }) => label))
  return mirrored.slice(0, k).filter(({ label }) => labels.has(label)).length / k
}
