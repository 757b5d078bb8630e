import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import type { Alias } from '../../contract/registry.ts'
import type { Clock } from '../../lib/clock.ts'
import { createTurns } from '../../lib/in-turn.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { Store } from '../store.ts'
import { readContent, type Content } from './content.ts'
import { MlflowRefusal, type MlflowApi } from './mlflow-api.ts'
import { createMlflowCache } from './mlflow-cache.ts'
import { createMlflowModels, type MlflowVersion } from './mlflow-models.ts'
import type { MlflowNames } from './mlflow-names.ts'
import { isName, requireName, type ModelFolder } from './model-folder.ts'
import { createRegistryTable, type Arrival } from './registry-table.ts'
import type { AliasDecision, ModelVersion, Registered, RegisterOptions, Registry } from './registry.ts'
import { compareVersions, findSame, requireExpected } from './rules.ts'
import { storageFull } from './storage-full.ts'

export interface MlflowRegistryOptions {
  readonly api: MlflowApi
  readonly names: MlflowNames
  /** Where fetched versions are kept on this machine. */
  readonly cache: ModelFolder
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
}

/** Set last: a version without it is not complete, or none of ours. */
const DIGEST = 'weir.digest'
const REGISTERED_BY = 'weir.registered_by'
const FAILED = 'weir.failed'

/**
 * Versions on an MLflow server, which chooses their numbers. What is decided is recorded here before it is done there, since
 * the two cannot be one step; that it failed is recorded, too. A registration that was interrupted is finished or taken back by
 * `settle`, which every registration begins with.
 */
export function createMlflowRegistry(options: MlflowRegistryOptions): Registry & { settle(): Promise<void> } {
  const { names, cache: folder, store, audit, clock } = options
  const mlflow = createMlflowModels(options.api)
  const cache = createMlflowCache(folder, mlflow)
  const arrivals = createRegistryTable(store)
  const inTurn = createTurns()

  /** The record first, so that nothing is done without one. */
  async function recorded(entry: Entry, work: () => Promise<void>): Promise<void> {
    const record = (action: string, reason: string) => {
      const at = new Date(clock.now()).toISOString()
      store.transaction(() => audit.append({ at, ...entry, action, reason }))
    }
    record(entry.action, entry.reason)
    try {
      await work()
    } catch (error) {
      record(`${entry.action}-failed`, describeProblem(error))
      throw error
    }
  }

  async function known(model: string): Promise<ModelVersion[]> {
    const found = await mlflow.versions(names.toMlflow(safe(model)))
    return found
      .map(version => toVersion(model, version))
      .filter(version => version !== undefined)
      .toSorted((a, b) => compareVersions(a.version, b.version))
  }

  async function versions(model: string): Promise<ModelVersion[]> {
    const found = await known(model)
    if (found.length > 0) return found
    throw new WeirError('model_not_found', `no model "${model}" on the MLflow server`)
  }

  async function find(model: string, version: string): Promise<ModelVersion | undefined> {
    if (!NUMBER.test(version)) return undefined // MLflow would take 01 for 1
    const found = await mlflow.version(names.toMlflow(safe(model)), version)
    return found && toVersion(model, found)
  }

  async function get(model: string, version: string): Promise<ModelVersion> {
    const found = await find(model, version)
    if (found) return found
    await versions(model)
    throw new WeirError('version_not_found', `no version "${version}" of model "${model}"`)
  }

  async function aliases(model: string) {
    const found = await mlflow.aliases(names.toMlflow(safe(model)))
    if (found) return found
    throw new WeirError('model_not_found', `no model "${model}" on the MLflow server`)
  }

  /** The digest makes it a version; the alias is moved right after, by `settle` at the latest. */
  async function complete(arrival: Arrival): Promise<void> {
    const { model, version, digest, registeredBy: actor } = arrival
    const name = names.toMlflow(model)
    const before = (await aliases(model)).development ?? null
    const evidence = { digest, alias: 'development', before, after: version }
    const reason = 'registered; development points at it'
    await recorded(
      { actor, action: 'register', subject: `${model}/${version}`, reason, evidence },
      async () => {
        await mlflow.setTag(name, version, DIGEST, digest)
        await mlflow.setAlias(name, 'development', version)
      },
    )
    arrivals.forget(arrival)
  }

  /** Only the alias may be missing; a later one is not moved back. */
  async function pointDevelopment({ model, version, registeredBy: actor }: Arrival): Promise<void> {
    const { development = null } = await aliases(model)
    if (development !== null && compareVersions(development, version) >= 0) return
    const reason = 'finishes a registration that was interrupted'
    await setAlias(model, 'development', version, { actor, reason })
  }

  async function settleOne(arrival: Arrival): Promise<void> {
    const { model, version } = arrival
    const name = names.toMlflow(model)
    const found = await mlflow.version(name, version)
    if (found?.tags.has(DIGEST)) await pointDevelopment(arrival)
    else if (found?.tags.has(REGISTERED_BY)) await mlflow.deleteVersion(name, version)
    arrivals.forget(arrival) // without either it is somebody else's: the note was made for another registry
  }

  async function settle(): Promise<void> {
    for (const arrival of arrivals.arrivals()) await settleOne(arrival)
  }

  async function requireNumber(name: string, asked: string | undefined): Promise<void> {
    if (asked === undefined) return
    const next = String(
      Math.max(0, ...(await mlflow.versions(name)).map(({ version }) => Number(version))) + 1,
    )
    if (asked !== next) throw numbersItself(asked, next)
  }

  async function bring(arriving: string, content: Content, model: string, options: RegisterOptions) {
    const name = names.toMlflow(model)
    await requireNumber(name, options.version)
    const run = await mlflow.startRun(name, clock.now())
    const version = await mlflow.createVersion(name, run, { [REGISTERED_BY]: options.actor })
    const { digest, text } = content.stamp(model, version)
    const arrival = { model, version, digest, registeredAt: clock.now(), registeredBy: options.actor }
    arrivals.expect(arrival)
    try {
      if (options.version !== undefined && options.version !== version)
        throw numbersItself(options.version, version)
      await folder.seal(arriving, text)
      for (const file of ['model.json', ...content.files])
        await mlflow.upload(run.folder, file, join(arriving, file))
      await mlflow.endRun(run.id, metricsOf(content), clock.now())
      await cache.put(arriving, arrival)
      await complete(arrival)
    } catch (error) {
      await settleOne(arrival).catch(() => undefined) // it stays noted; what went wrong first is what to tell
      throw error
    }
    return { version: await get(model, version), created: true }
  }

  async function register(model: string, source: string, options: RegisterOptions): Promise<Registered> {
    requireName(model)
    const arriving = await folder.take(source)
    try {
      const content = await readContent(arriving)
      await settle()
      const same = findSame(content, await known(model), options.version)
      return same ? { version: same, created: false } : await bring(arriving, content, model, options)
    } finally {
      await folder.drop(arriving)
    }
  }

  async function setAlias(model: string, alias: Alias, after: string | null, decision: AliasDecision) {
    const { actor, reason, expected } = decision
    const before = (await aliases(model))[alias] ?? null
    if (after !== null) await get(model, after)
    requireExpected(alias, before, expected)
    if (before === after) return
    const subject = `${model}/${after ?? before}`
    await recorded({ actor, action: 'set-alias', subject, reason, evidence: { alias, before, after } }, () =>
      mlflow.setAlias(names.toMlflow(model), alias, after),
    )
  }

  async function fetch(model: string, version: string): Promise<string> {
    try {
      return await cache.fetch(await get(model, version), names.toMlflow(model))
    } catch (error) {
      // a model server that has died must come back without the MLflow server, too
      const isAway = error instanceof WeirError && error.code === 'registry_unavailable'
      const kept = isAway ? await cache.kept(model, version) : undefined
      if (kept === undefined) throw error
      return kept
    }
  }

  folder.sweep()
  return {
    settle: () => inTurn(() => settle().catch(inOurWords)),
    async models() {
      const found = (await mlflow.names().catch(inOurWords)).map(names.toModel)
      const ours = found.filter(model => model !== undefined).filter(isName)
      const counts = await Promise.all(ours.map(async model => (await known(model).catch(inOurWords)).length))
      return ours.filter((_, index) => (counts[index] ?? 0) > 0)
    },
    versions: model => versions(model).catch(inOurWords),
    async broken(model) {
      await versions(model).catch(inOurWords)
      return [] // what is not complete there is none of ours
    },
    get: (model, version) => get(model, version).catch(inOurWords),
    register: (model, source, options) => inTurn(() => register(model, source, options).catch(inOurWords)),
    aliases: model => aliases(model).catch(inOurWords),
    setAlias: (...change) => inTurn(() => setAlias(...change).catch(inOurWords)),
    async markFailed(model, version, { actor, reason }) {
      const { failed, digest } = await get(model, version).catch(inOurWords)
      if (failed === reason) return
      const subject = `${model}/${version}`
      await recorded({ actor, action: 'mark-failed', subject, reason, evidence: { digest } }, () =>
        mlflow.setTag(names.toMlflow(model), version, FAILED, reason),
      ).catch(inOurWords)
    },
    fetch: (model, version) => fetch(model, version).catch(inOurWords),
  }
}

interface Entry {
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string
  readonly evidence: object
}

const NUMBER = /^[1-9]\d{0,8}$/

function safe(model: string): string {
  if (isName(model)) return model
  throw new WeirError('model_not_found', `"${model}" is no name of a model`)
}

function toVersion(
  model: string,
  { version, creation_timestamp: at, tags }: MlflowVersion,
): ModelVersion | undefined {
  const digest = tags.get(DIGEST)
  if (digest === undefined) return undefined
  const [registeredBy = null, failed = null] = [tags.get(REGISTERED_BY), tags.get(FAILED)]
  return { model, version, digest, registeredAt: at, registeredBy, failed }
}

function numbersItself(asked: string, next: string): WeirError {
  const message = `the MLflow server numbers versions itself: this one would be ${next}, not ${asked}`
  return new WeirError('version_exists', message, { details: { next } })
}

/** `food-photos/test.top1` and the like; MLflow allows letters, digits and _-./ and spaces in a key. */
function metricsOf({ manifest }: Content): Record<string, number> {
  const metrics: Record<string, number> = {}
  for (const [set, measured] of Object.entries(manifest.accuracy ?? {})) {
    const key = set.replaceAll(/[^\w\-./ ]/g, '_')
    for (const [name, value] of Object.entries(measured))
      if (value !== undefined) metrics[`${key}.${name}`] = value
  }
  return metrics
}

/** What MLflow refuses of what we asked is no fault of who asked us. */
function inOurWords(error: unknown): never {
  if (error instanceof MlflowRefusal)
    throw new WeirError('bad_gateway', `the MLflow server refuses: ${error.message}`, { cause: error })
  throw error instanceof Error ? storageFull(error) : error
}
