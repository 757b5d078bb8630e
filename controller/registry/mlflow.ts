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
import { createMlflowModels, type MlflowRun } from './mlflow-models.ts'
import type { MlflowNames } from './mlflow-names.ts'
import { DIGEST, FAILED, metricsOf, REGISTERED_BY, toVersion } from './mlflow-tags.ts'
import { isName, requireName, type ModelFolder } from './model-folder.ts'
import { createRecorder } from './recorder.ts'
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
  const { record, recorded } = createRecorder({ store, audit, clock })
  const inTurn = createTurns()

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

  /** The digest makes it a version; the alias is moved right after. What does not come to pass of it `settleOne` records. */
  async function complete(arrival: Arrival): Promise<void> {
    const { model, version, digest, registeredBy: actor } = arrival
    const name = names.toMlflow(model)
    const before = (await aliases(model)).development ?? null
    const evidence = { digest, alias: 'development', before, after: version }
    const reason = 'registered; development points at it'
    store.transaction(() =>
      record({ actor, action: 'register', subject: `${model}/${version}`, reason, evidence }),
    )
    await mlflow.setTag(name, version, DIGEST, digest)
    await mlflow.setAlias(name, 'development', version)
    arrivals.forget(arrival)
  }

  /** Only the alias may be missing; a later one is not moved back. */
  async function pointDevelopment({ model, version, registeredBy: actor }: Arrival): Promise<void> {
    const { development = null } = await aliases(model)
    if (development !== null && compareVersions(development, version) >= 0) return
    const reason = 'finishes a registration that was interrupted'
    await setAlias(model, 'development', version, { actor, reason })
  }

  /** Whether the version stands. Without its digest it is taken back, and that is on record. */
  async function settleOne(arrival: Arrival, why: string): Promise<boolean> {
    const { model, version, digest, registeredBy: actor } = arrival
    const name = names.toMlflow(model)
    const found = await mlflow.version(name, version)
    const stands = found?.tags.get(DIGEST) === digest
    const isOurs = found === undefined || (found.tags.has(REGISTERED_BY) && !found.tags.has(DIGEST))
    if (stands) await pointDevelopment(arrival)
    else if (found && isOurs) await mlflow.deleteVersion(found)
    store.transaction(() => {
      // what is neither is somebody else's: the note was made for another registry
      if (!stands && isOurs)
        record({
          actor,
          action: 'register-failed',
          subject: `${model}/${version}`,
          reason: why,
          evidence: { digest },
        })
      arrivals.forget(arrival)
    })
    return stands
  }

  async function settle(): Promise<void> {
    for (const arrival of arrivals.arrivals())
      await settleOne(arrival, 'it was interrupted, and is taken back')
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
    const version = await createVersion(name, run, options)
    const { digest, text } = content.stamp(model, version)
    const arrival = { model, version, digest, registeredAt: clock.now(), registeredBy: options.actor }
    arrivals.expect(arrival)
    try {
      if (options.version !== undefined && options.version !== version)
        throw numbersItself(options.version, version)
      await folder.seal(arriving, text)
      for (const file of ['model.json', ...content.files])
        await mlflow.upload(run.folder, file, join(arriving, file))
      await mlflow.endRun(run.id, metricsOf(content.manifest), clock.now())
      await cache.put(arriving, arrival)
      await complete(arrival)
    } catch (error) {
      // where this fails, too, it stays noted; what went wrong first is what to tell
      const stands = await settleOne(arrival, describeProblem(error)).catch(() => false)
      if (!stands) throw error
    }
    return { version: await get(model, version), created: true }
  }

  async function createVersion(name: string, run: MlflowRun, { actor }: RegisterOptions): Promise<string> {
    return mlflow.createVersion(name, run, { [REGISTERED_BY]: actor }).catch(async (error: unknown) => {
      await mlflow.deleteRun(run.id).catch(() => undefined) // what went wrong first is what to tell
      throw error
    })
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

  /**
   * A model server that has died must come back also while nobody can say what the server has, and when its version was removed
   * there; what is to be started for the first time is asked for with `get` before.
   */
  async function fetch(model: string, version: string): Promise<string> {
    const asked = await get(model, version).catch((problem: Error) => problem)
    if (!(asked instanceof Error)) return cache.fetch(asked, names.toMlflow(model))
    const kept = await cache.kept(model, version)
    if (kept === undefined) throw asked
    return kept
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
    broken: async () => [], // what is not complete there is none of ours
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
    async clearFailed(model, version, { actor, reason }) {
      const { failed, digest } = await get(model, version).catch(inOurWords)
      if (failed === null) return
      const about = { subject: `${model}/${version}`, evidence: { digest, failed } }
      await recorded({ actor, action: 'clear-failure', reason, ...about }, () =>
        mlflow.deleteTag(names.toMlflow(model), version, FAILED),
      ).catch(inOurWords)
    },
    fetch: (model, version) => fetch(model, version).catch(inOurWords),
  }
}

const NUMBER = /^[1-9]\d{0,8}$/

function safe(model: string): string {
  if (isName(model)) return model
  throw new WeirError('model_not_found', `"${model}" is no name of a model`)
}

function numbersItself(asked: string, next: string): WeirError {
  const message = `the MLflow server numbers versions itself: this one would be ${next}, not ${asked}`
  return new WeirError('version_exists', message, { details: { next } })
}

/** What MLflow refuses of what we asked is no fault of who asked us. */
function inOurWords(error: unknown): never {
  if (error instanceof MlflowRefusal)
    throw new WeirError('bad_gateway', `the MLflow server refuses: ${error.message}`, { cause: error })
  throw error instanceof Error ? storageFull(error) : error
}
