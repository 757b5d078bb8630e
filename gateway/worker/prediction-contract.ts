import { prediction, type Prediction } from '../../contract/prediction.ts'
import { describeIssues } from '../../lib/parse.ts'

/** Whether a request falls under `contract: prediction`: POST to …/predict, whatever its query. */
export function isPredictionRequest(method: string, path: string): boolean {
  return method === 'POST' && /^[^?]*\/predict(\?|$)/.test(path)
}

/** An answer held against the contract: the one parse that validation, the id, the label count and the comparison share. */
export function readPrediction(text: string): Prediction | undefined {
  try {
    const parsed = prediction.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined // not JSON
  }
}

/** What keeps an answer from being a prediction, for a person. */
export function whyNoPrediction(text: string): string {
  try {
    const parsed = prediction.safeParse(JSON.parse(text))
    return parsed.success ? 'nothing' : describeIssues(parsed.error)
  } catch {
    return 'it is not JSON'
  }
}

/** The answer as the variant wrote it, with the id as its last member. */
export function withPredictionId(text: string, id: string): string {
  const end = text.lastIndexOf('}') // a prediction is an object with members, so there is one and a comma is right
  return `${text.slice(0, end)},"prediction_id":"${id}"}`
}
