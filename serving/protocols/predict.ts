import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { errorAnswer, WeirError } from '../../contract/errors.ts'
import { prediction } from '../../contract/prediction.ts'
import type { Predictor } from '../predictor.ts'
import { readSample, type Sample } from '../samples.ts'
import { bodyOf, sendAnswer } from './wire.ts'

const testAnswer = prediction
  .omit({ top_k: true, class_index: true })
  .extend({ expected: z.string(), correct: z.boolean(), image: z.string() })

export interface PredictRoutesOptions {
  readonly predictor: Predictor
  readonly samples: () => Promise<readonly Sample[]>
}

/** POST /predict and GET /test, the routes of the application that this replaces, in JSON. */
export function addPredictRoutes(app: FastifyInstance, { predictor, samples }: PredictRoutesOptions): void {
  app.post(
    '/predict',
    {
      schema: {
        summary: 'The label of a photo',
        description:
          'The photo as multipart/form-data with the field `file`, as an image/* body, or as JSON `{"image":"<base64>"}`. ' +
          'JPEG, PNG, WebP, AVIF, GIF and TIFF. `x-request-timeout-ms` says how long the client will wait.',
        consumes: ['multipart/form-data', 'image/*', 'application/json'],
        response: { 200: prediction, '4xx': errorAnswer, '5xx': errorAnswer },
      },
    },
    async (request, reply) => {
      const contentType = request.headers['content-type'] ?? ''
      const task = { protocol: 'predict', contentType, body: bodyOf(request) } as const
      return sendAnswer(reply, await predictor.answer(request, reply, task))
    },
  )

  let turn = 0
  app.get(
    '/test',
    {
      schema: {
        summary: 'The label of a sample photo, beside what was expected',
        description: 'The samples take turns.',
        response: { 200: testAnswer, '4xx': errorAnswer, '5xx': errorAnswer },
      },
    },
    async (request, reply) => {
      predictor.model() // a model that is not served says why, whatever samples there are
      const all = await samples()
      const sample = all[turn++ % all.length]
      if (!sample) throw new WeirError('not_found', 'this model has no sample photo')
      const task = { protocol: 'predict', contentType: 'image/*', body: await readSample(sample) } as const
      const { body } = await predictor.answer(request, reply, task)
      const { label, confidence, model, model_version } = prediction.parse(JSON.parse(String(body)))
      const correct = label === sample.label
      return { label, expected: sample.label, correct, image: sample.name, confidence, model, model_version }
    },
  )
}
