import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../../contract/errors.ts'
import { prediction } from '../../contract/prediction.ts'
import type { AppOptions } from '../app.ts'
import { BODY_LIMIT_BYTES, takeBodiesAsTheyCome } from '../bodies.ts'
import { HOP_BY_HOP } from '../../lib/hop-by-hop.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import { createDrill } from '../drill.ts'
import { addDocs } from '../openapi.ts'
import { addPredictionPage } from '../prediction-page.ts'
import { bodyOf } from '../protocols/wire.ts'
import { findSamples, readSample } from '../samples.ts'
import { addStandingRoutes, requireReady } from '../standing-routes.ts'
import type { CustomServer } from './custom-server.ts'
import { createPassing, type Pass } from './passing.ts'

export type CustomAppOptions = Omit<AppOptions, 'server'> & { readonly server: CustomServer }

/** In front of a server of the team's own: what Weir asks of every version is answered here, /predict is passed on. */
export async function createCustomApp(options: CustomAppOptions): Promise<FastifyInstance> {
  const { server, modelPath, samplesDir, drill, clock, log, bodyLimitBytes = BODY_LIMIT_BYTES } = options
  const app = createHttpServer({ log, bodyLimitBytes })
  takeBodiesAsTheyCome(app, { limitBytes: bodyLimitBytes, metrics: server.metrics })
  await addDocs(app)
  addStandingRoutes(app, server, drill)
  await addPredictionPage(app)
  const pass = createPassing({ server, clock, drill: drill && createDrill(drill, clock) })
  app.post(
    '/predict',
    { schema: { summary: 'Passed on to the server of this version' } },
    async (request, reply) => {
      const { status, headers, body } = await pass(request, reply, {
        headers: endToEnd(request.headers),
        body: bodyOf(request),
      })
      return reply.code(status).headers(headers).send(body)
    },
  )
  addTestRoute(app, { server, pass, samples: () => findSamples(modelPath, samplesDir) })
  return app
}

interface TestRouteOptions {
  readonly server: CustomServer
  readonly pass: Pass
  readonly samples: () => ReturnType<typeof findSamples>
}

function addTestRoute(app: FastifyInstance, { server, pass, samples }: TestRouteOptions): void {
  let turn = 0
  const schema = { summary: 'The label of a sample photo, beside what was expected' }
  app.get('/test', { schema }, async (request: FastifyRequest, reply: FastifyReply) => {
    requireReady(server.state()) // a version that is not served says why, whatever samples there are
    const all = await samples()
    const sample = all[turn++ % all.length]
    if (!sample) throw new WeirError('not_found', 'this version has no sample photo')
    const { headers, body } = formOf(sample.name, await readSample(sample))
    const answer = await pass(request, reply, { headers, body })
    const parsed = prediction.safeParse(parseJson(await textOf(answer.body)))
    if (!parsed.success) throw new WeirError('bad_gateway', `the answer (${answer.status}) is no prediction`)
    const { label, confidence, model, model_version } = parsed.data
    const correct = label === sample.label
    return { label, expected: sample.label, correct, image: sample.name, confidence, model, model_version }
  })
}

/** As browsers and curl -F send a photo. */
function formOf(name: string, photo: Uint8Array) {
  const boundary = 'weir-sample'
  const head = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${name.replaceAll('"', '')}"\r\ncontent-type: image/jpeg\r\n\r\n`
  return {
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([Buffer.from(head), photo, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Without what belongs to one connection: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1 */
function endToEnd(headers: FastifyRequest['headers']): Record<string, string | string[]> {
  const named = String(headers.connection ?? '')
    .split(',')
    .map(name => name.trim().toLowerCase())
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || HOP_BY_HOP.has(name) || SAID_ANEW.has(name) || named.includes(name)
        ? []
        : [[name, value]],
    ),
  )
}

/** Said anew by whoever passes the request on. */
const SAID_ANEW: ReadonlySet<string> = new Set(['host', 'content-length'])
