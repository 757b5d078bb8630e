import { WeirError } from '../../contract/errors.ts'
import type { Alias, BrokenVersion } from '../../contract/registry.ts'
import type { Clock } from '../../lib/clock.ts'
import { createTurns } from '../../lib/in-turn.ts'
import type { Audit } from '../audit.ts'
import type { Store } from '../store.ts'
import { readContent, type Content } from './content.ts'
import { requireName, type FoundVersion, type ModelFolder } from './model-folder.ts'
import { createRegistryTable, type Arrival } from './registry-table.ts'
import { compareVersions, findSame, requireExpected } from './rules.ts'
import { storageFull } from './storage-full.ts'
import type { AliasDecision, ModelVersion, Registered, RegisterOptions, Registry } from './registry.ts'

export interface LocalRegistryOptions {
  readonly folder: ModelFolder
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
}

/** Another process may take a number at the same moment. */
const MAX_NUMBERS_TRIED = 10

/**
 * Versions as folders, and in SQLite who registered them and which alias points where. A version is complete before it is in
 * its place; the number that it is to have is noted before, so that a registration which is killed there is finished at the
 * next start. One that is killed earlier leaves nothing.
 */
export function createLocalRegistry({ folder, store, audit, clock }: LocalRegistryOptions): Registry {
  const table = createRegistryTable(store)
  const inTurn = createTurns()

  function record(actor: string, action: string, subject: string, reason: string, evidence: object): void {
    audit.append({ at: new Date(clock.now()).toISOString(), actor, action, subject, reason, evidence })
  }

  async function look(model: string) {
    const { found, broken } = await folder.versions(model)
    const versions = found
      .map(one => knownAs(model, one))
      .toSorted((a, b) => compareVersions(a.version, b.version))
    return { versions, broken }
  }

  function knownAs(model: string, { version, digest }: FoundVersion): ModelVersion {
    return table.version(model, version) ?? unregistered(model, version, digest)
  }

  async function requireAny(model: string) {
    const looked = await look(model)
    if (looked.versions.length + looked.broken.length > 0) return looked
    throw new WeirError('model_not_found', `no model "${model}"`)
  }

  /** With those that an alias leads to although their folders are gone; others were removed by somebody who meant it. */
  async function broken(model: string): Promise<BrokenVersion[]> {
    const looked = await requireAny(model)
    const there = new Set([...looked.versions, ...looked.broken].map(({ version }) => version))
    const pointing = Object.entries(table.aliases(model)).filter(([, version]) => !there.has(version))
    const gone = [...Map.groupBy(pointing, ([, version]) => version)].map(([version, aliases]) => {
      const names = aliases.map(([alias]) => alias).join(', ')
      return { version, reason: `its folder is gone, and ${names} still points at it` }
    })
    return [...looked.broken, ...gone].toSorted((a, b) => compareVersions(a.version, b.version))
  }

  async function find(model: string, version: string): Promise<FoundVersion> {
    const found = await folder.version(model, version)
    if (found !== undefined) return found
    await requireAny(model)
    const why = table.version(model, version)
      ? `version ${version} of ${model} cannot be used: ${folder.folderOf(model, version)} is gone`
      : `no version "${version}" of model "${model}"`
    throw new WeirError('version_not_found', why)
  }

  async function get(model: string, version: string): Promise<ModelVersion> {
    return knownAs(model, await find(model, version))
  }

  function finish(arrival: Arrival): void {
    const { model, version, digest, registeredBy } = arrival
    store.transaction(() => {
      const before = table.aliases(model).development ?? null
      table.forget(arrival)
      table.add(arrival)
      table.setAlias(model, 'development', version)
      const moved = { alias: 'development', before, after: version }
      record(registeredBy, 'register', `${model}/${version}`, 'registered; development points at it', {
        digest,
        ...moved,
      })
    })
  }

  /** Content that is there already is that version. One that merely lay in the folder is registered by this. */
  async function again(same: ModelVersion, { actor }: RegisterOptions): Promise<Registered> {
    if (same.registeredAt === null) finish({ ...same, registeredAt: clock.now(), registeredBy: actor })
    return { version: await get(same.model, same.version), created: false }
  }

  async function bring(arriving: string, content: Content, model: string, options: RegisterOptions) {
    for (let tried = 0; tried < MAX_NUMBERS_TRIED; tried++) {
      const version = await numberFor(model, options.version)
      const { digest, text } = content.stamp(model, version)
      await folder.seal(arriving, text)
      const arrival = { model, version, digest, registeredAt: clock.now(), registeredBy: options.actor }
      store.transaction(() => table.expect(arrival))
      if (await place(arriving, arrival)) {
        await finishOrWithdraw(arrival)
        return { version: await get(model, version), created: true }
      }
    }
    throw new WeirError('conflict', `other processes take the numbers of ${model}: try again`)
  }

  /** What cannot be recorded is not kept; its note goes now or, if that is not possible either, at the next start. */
  async function finishOrWithdraw(arrival: Arrival): Promise<void> {
    try {
      finish(arrival)
    } catch (error) {
      await folder.withdraw(arrival.model, arrival.version)
      throw error
    }
  }

  async function place(arriving: string, arrival: Arrival): Promise<boolean> {
    let placed = false
    try {
      placed = await folder.place(arriving, arrival.model, arrival.version)
    } finally {
      if (!placed) store.transaction(() => table.forget(arrival))
    }
    return placed
  }

  async function numberFor(model: string, asked: string | undefined): Promise<string> {
    const taken = [...(await folder.taken(model)), ...table.versions(model).map(({ version }) => version)]
    if (asked === undefined) return nextNumber(taken)
    if (!taken.includes(asked)) return asked
    throw new WeirError('version_exists', `version ${asked} of ${model} exists already, with other content`)
  }

  async function register(model: string, source: string, options: RegisterOptions): Promise<Registered> {
    requireName(model)
    if (options.version !== undefined) requireName(options.version)
    const arriving = await folder.take(source)
    try {
      const content = await readContent(arriving)
      const same = findSame(content, (await look(model)).versions, options.version)
      return await (same ? again(same, options) : bring(arriving, content, model, options))
    } finally {
      await folder.drop(arriving)
    }
  }

  function moveAlias(model: string, alias: Alias, after: string | null, decision: AliasDecision): void {
    const { actor, reason, expected } = decision
    const before = table.aliases(model)[alias] ?? null
    requireExpected(alias, before, expected)
    if (before === after) return
    table.setAlias(model, alias, after)
    record(actor, 'set-alias', `${model}/${after ?? before}`, reason, { alias, before, after })
  }

  folder.sweep()
  for (const arrival of table.arrivals()) {
    if (folder.holds(arrival.model, arrival.version, arrival.digest)) finish(arrival)
    else store.transaction(() => table.forget(arrival))
  }

  return {
    models: folder.models,
    versions: async model => (await requireAny(model)).versions,
    broken,
    get,
    register: (model, source, options) =>
      inTurn(() =>
        register(model, source, options).catch((error: Error) => {
          throw storageFull(error)
        }),
      ),
    async aliases(model) {
      await requireAny(model)
      return table.aliases(model)
    },
    async setAlias(model, alias, version, decision) {
      if (version === null) await requireAny(model)
      else await get(model, version)
      store.transaction(() => moveAlias(model, alias, version, decision))
    },
    async markFailed(model, version, { actor, reason }) {
      const found = await get(model, version)
      store.transaction(() => {
        if (found.failed === reason) return
        table.fail(found, reason)
        record(actor, 'mark-failed', `${model}/${version}`, reason, { digest: found.digest })
      })
    },
    async clearFailed(model, version, { actor, reason }) {
      const found = await get(model, version)
      const { digest, failed } = found
      store.transaction(() => {
        if (failed === null) return
        table.fail(found, null)
        record(actor, 'clear-failure', `${model}/${version}`, reason, { digest, failed })
      })
    },
    async fetch(model, version) {
      return folder.complete(model, await find(model, version))
    },
  }
}

function unregistered(model: string, version: string, digest: string): ModelVersion {
  return { model, version, digest, registeredAt: null, registeredBy: null, failed: null }
}

function nextNumber(taken: readonly string[]): string {
  const numbers = taken.filter(name => /^\d{1,9}$/.test(name)).map(Number)
  return String(Math.max(0, ...numbers) + 1)
}
