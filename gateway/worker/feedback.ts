import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { errorAnswer, WeirError } from '../../contract/errors.ts'
import { feedback, feedbackAnswer, type Feedback, type FeedbackAnswer } from '../../contract/feedback.ts'
import type { FeedbackReport, PredictionClaims, SpendVerdict } from '../messages.ts'
import type { PredictionIds } from '../prediction-id.ts'
import type { Policy } from './policy.ts'

export interface FeedbackOptions {
  readonly policy: Policy
  readonly ids: PredictionIds
  readonly wallClock: () => number
  /** The primary knows which ids are spent, for all workers. */
  readonly spend: (report: FeedbackReport) => Promise<SpendVerdict>
}

const MAX_FEEDBACK_BYTES = 16 * 1024

/** POST /feedback: what really happened to a prediction. The id says what it was; nothing is looked up. */
export function addFeedback(app: FastifyInstance, options: FeedbackOptions): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    '/feedback',
    {
      bodyLimit: MAX_FEEDBACK_BYTES,
      schema: { body: feedback, response: { 200: feedbackAnswer, '4xx': errorAnswer } },
    },
    async request => answerFeedback(request.body, options),
  )
}

async function answerFeedback(body: Feedback, options: FeedbackOptions): Promise<FeedbackAnswer> {
  const { policy, ids, wallClock, spend } = options
  const claims = ids.read(body.prediction_id)
  if (claims === undefined) throw new WeirError('invalid_prediction_id', whyInvalid(policy))
  const route = policy.current().routes.get(claims.route)
  if (route === undefined)
    throw new WeirError('invalid_prediction_id', `there is no route ${claims.route} any more`)
  const expiresAt = claims.at + route.policy.feedback.expiresMs
  if (expiresAt <= wallClock()) throw new WeirError('prediction_id_expired', 'the prediction id has expired')
  refuseUnlessCounted(await spend({ claims, expiresAt, feedback: body }))
  return { route: claims.route, variant: claims.variant, ...correctness(body, claims) }
}

function refuseUnlessCounted(verdict: SpendVerdict): void {
  switch (verdict) {
    case 'counted':
      return
    case 'spent':
      throw new WeirError('prediction_id_spent', 'this prediction was reported on before')
    case 'full':
      throw new WeirError('overloaded', 'too many reports are remembered; try again later', {
        retryAfterSeconds: 60,
      })
  }
}

function correctness(body: Feedback, { label }: PredictionClaims): { correct?: boolean } {
  return body.label === undefined ? {} : { correct: body.label === label }
}

function whyInvalid(policy: Policy): string {
  const routes = [...policy.current().routes.values()]
  return routes.some(({ policy }) => policy.contract === 'prediction')
    ? 'this is not a prediction id of this gateway'
    : 'no route here has `contract: prediction`, so there are no prediction ids'
}
