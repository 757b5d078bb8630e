import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { ENVIRONMENTS, type EnvironmentName } from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import {
  alias,
  ALIASES,
  aliasBody,
  clearFailureBody,
  type Alias,
  type ModelVersionView,
} from '../../contract/registry.ts'
import { query } from '../query.ts'
import type { Environments } from '../lifecycle/environments.ts'
import { actorOf } from '../requests.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Aliases, ModelVersion, Registry } from './registry.ts'
import type { Uploads } from './uploads.ts'

export interface RegistryApiOptions {
  readonly registry: Registry
  readonly runtime: Pick<Runtime, 'list' | 'status'>
  readonly uploads: Uploads
  /** Where versions of one model run; absent: this controller keeps none. */
  readonly environments?: Pick<Environments, 'ask' | 'view'> | undefined
}

const LINGER_MS = 2000
const named = z.object({ name: z.string().max(63) })
const versioned = named.extend({ version: z.string().max(63) })
const aliased = named.extend({ alias })
const registerQuery = query({ version: z.string().min(1).max(63).optional() })

/** Models, their versions and what points at them. */
export function addModels(plain: FastifyInstance, options: RegistryApiOptions): void {
  const { registry, uploads } = options
  const app = plain.withTypeProvider<ZodTypeProvider>()

  app.get('/v1/models', async () => {
    const names = await registry.models()
    return { items: await Promise.all(names.map(name => modelView(registry, name))) }
  })
  app.get('/v1/models/:name/versions', { schema: { params: named } }, async request => {
    const { name } = request.params
    const [versions, aliases] = [await registry.versions(name), await registry.aliases(name)]
    const items = versions.map(version => versionView(version, aliases))
    return { items, broken: await registry.broken(name) }
  })
  app.get('/v1/models/:name/versions/:version', { schema: { params: versioned } }, async request => {
    const { name, version } = request.params
    const found = await registry.get(name, version)
    const text = await readFile(join(await registry.fetch(name, version), 'model.json'), 'utf8')
    const manifest: unknown = JSON.parse(text)
    return { ...versionView(found, await registry.aliases(name)), manifest }
  })
  app.post(
    '/v1/models/:name/versions/:version/clear-failure',
    { schema: { params: versioned, body: clearFailureBody } },
    async request => {
      const { name, version } = request.params
      const { reason } = request.body
      await registry.clearFailed(name, version, { actor: actorOf(request), reason })
      return versionView(await registry.get(name, version), await registry.aliases(name))
    },
  )
  addUpload(plain, registry, uploads)
  app.get('/v1/models/:name/aliases/:alias', { schema: { params: aliased } }, async (request, reply) => {
    const { name, alias } = request.params
    const aliases = await registry.aliases(name)
    const version = aliases[alias]
    if (version === undefined) throw new WeirError('alias_not_found', `${alias} of ${name} points at nothing`)
    return reply.header('etag', `"${version}"`).send(versionView(await registry.get(name, version), aliases))
  })
  app.put(
    '/v1/models/:name/aliases/:alias',
    { schema: { params: aliased, body: aliasBody } },
    async (request, reply) => {
      const { name, alias } = request.params
      const { version, reason = 'by hand' } = request.body
      if (version !== null) await requireServing(alias, await registry.get(name, version), options)
      const expected = expectedVersion(request.headers['if-match'])
      await registry.setAlias(name, alias, version, { actor: actorOf(request), reason, expected })
      if (version !== null) reply.header('etag', `"${version}"`)
      return reply.send({ model: name, alias, version })
    },
  )
}

/** In a scope of its own: only here a body is a form, and is read as it arrives. */
function addUpload(plain: FastifyInstance, registry: Registry, uploads: Uploads): void {
  plain.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('multipart/form-data', (_, payload, done) => done(null, payload))
    const app = scope.withTypeProvider<ZodTypeProvider>()
    app.post(
      '/v1/models/:name/versions',
      {
        schema: {
          params: named,
          querystring: registerQuery,
          consumes: ['multipart/form-data'],
          description:
            'Registers a version. Each field is a file, named by its path beside model.json: model.json, model.onnx and ' +
            'whatever else the manifest names. 201 for a new version, 200 when the same content is one already.',
        },
      },
      async (request, reply) => register(request, reply, request.params.name, request.query.version),
    )
  })

  async function register(
    request: FastifyRequest,
    reply: FastifyReply,
    model: string,
    version: string | undefined,
  ) {
    const { 'content-type': contentType = '', 'content-length': length } = request.headers
    const form = { body: request.raw, contentType, bytes: Number(length ?? 0) }
    try {
      const { version: found, created } = await uploads(form, folder =>
        registry.register(model, folder, { actor: actorOf(request), version }),
      )
      const view = versionView(found, await registry.aliases(model))
      reply.header('location', `/v1/models/${model}/versions/${found.version}`)
      return await reply.code(created ? 201 : 200).send(view)
    } catch (error) {
      reply.raw.once('finish', () => lingerFor(request.raw, LINGER_MS))
      throw error
    }
  }
}

/**
 * A sender that is still sending would see its connection break instead of the refusal. So what comes is passed over for a
 * while (Node does, after the answer), and the connection ends only then.
 */
function lingerFor(request: IncomingMessage, ms: number): void {
  if (request.complete) return
  const timer = setTimeout(() => request.destroy(), ms)
  request.once('close', () => clearTimeout(timer))
}

/** Rule 9: an alias moves only to what is seen serving, by its digest; a version that failed stays where it is. */
async function requireServing(
  alias: Alias,
  wanted: ModelVersion,
  { runtime, environments }: RegistryApiOptions,
): Promise<void> {
  const { model, version, digest, failed } = wanted
  if (failed !== null)
    throw new WeirError('version_failed', `version ${version} of ${model} failed: ${failed}`)
  const name = ENVIRONMENTS.find(known => known === alias)
  if (name !== undefined && environments?.view(name).model === model)
    return requireAnswering(name, wanted, environments)
  const ids = runtime.list().filter(running => running.model === model && running.version === version)
  const seen = await Promise.all(ids.map(({ id }) => runtime.status(id)))
  if (seen.some(status => status.kind === 'ready' && status.digest === digest)) return
  throw new WeirError(
    'version_not_serving',
    `no model server answers as version ${version} of ${model} (${digest}): deploy it first`,
  )
}

/** What runs somewhere does not run there: an environment's alias says what answers at its own route. */
async function requireAnswering(
  name: EnvironmentName,
  { version, digest }: ModelVersion,
  environments: Pick<Environments, 'ask'>,
): Promise<void> {
  const answer = await environments.ask(name)
  if (answer?.digest === digest) return
  const there = answer === null ? 'nothing answers' : `version ${answer.version} (${answer.digest}) answers`
  throw new WeirError('version_not_serving', `${name} does not run version ${version} (${digest}): ${there}`)
}

/** `"3"`: the alias must point at version 3 until now, as its ETag says. */
function expectedVersion(ifMatch: string | undefined): string | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined
  const version = /^(?:W\/)?"?([\w.-]+)"?$/.exec(ifMatch.trim())?.[1]
  if (version !== undefined) return version
  throw new WeirError('bad_request', 'If-Match must be one version as the ETag gives it, such as "7"')
}

async function modelView(registry: Registry, name: string) {
  const [versions, aliases] = [await registry.versions(name), await registry.aliases(name)]
  const latest = versions.at(-1)?.version ?? null
  return { name, versions: versions.length, latest, aliases, broken: await registry.broken(name) }
}

function versionView(version: ModelVersion, aliases: Aliases): ModelVersionView {
  const { registeredAt } = version
  const pointing: Alias[] = ALIASES.filter(name => aliases[name] === version.version)
  return {
    ...version,
    aliases: pointing,
    registeredAt: registeredAt === null ? null : new Date(registeredAt).toISOString(),
  }
}
