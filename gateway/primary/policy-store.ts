import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import { matchKeys, routePolicy, weightsBp, type RoutePolicy } from '../../contract/policy.ts'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { canonicalJson } from '../../lib/hash.ts'
import { createTurns } from '../../lib/in-turn.ts'
import { describeIssues } from '../../lib/parse.ts'
import type { RouteRecord } from '../messages.ts'

/** A route in the store: the policy as somebody wrote it, and the same with defaults filled in. */
export interface StoredRoute extends RouteRecord {
  readonly written: unknown
}

export interface Change {
  readonly name: string
  /** Undefined: removed. */
  readonly route: StoredRoute | undefined
}

/**
 * The routes' policies: one file each in the state folder, replaced whole. Only the primary writes. A version grows by one with
 * every change and goes on where it was when a route comes back, so that an old ETag never fits a new policy.
 */
export interface PolicyStore {
  list(): StoredRoute[]
  get(name: string): StoredRoute | undefined
  /** Commits if the route is at `ifVersion` (undefined: whatever it is at). The same content again changes nothing. */
  put(
    written: unknown,
    options?: { ifVersion?: number | undefined },
  ): Promise<{ route: StoredRoute; changed: boolean }>
  remove(name: string, options?: { ifVersion?: number | undefined }): Promise<void>
  /** Looks at a route's file again after somebody else may have written it; undefined: nothing new. */
  refresh(name: string): Promise<Change | undefined>
  /** Names of files that are there, or were, and never held a policy that could be used. */
  unknown(): Promise<string[]>
  /** What is wrong with files, by route: the last good policy stays in force meanwhile. */
  faults(): ReadonlyMap<string, string>
}

export interface PolicyStoreOptions {
  readonly dir: string
  readonly write?: (path: string, content: string) => Promise<void>
  /** Rejects a policy that cannot be put in force here, before it is written. */
  readonly admit?: (policy: RoutePolicy) => Promise<void>
}

const file = z.strictObject({
  version: z.int().min(1),
  epoch: z.int().min(1),
  /** null: the route was removed. */
  policy: z.unknown(),
})

interface Entry {
  readonly version: number
  readonly epoch: number
  readonly route: StoredRoute | undefined
  /** The file as we know it. */
  readonly text: string
}

/** Reads the folder. Rejects, naming the file, when one of them cannot be understood. */
export async function openPolicyStore({
  dir,
  write = writeFileAtomic,
  admit = async () => undefined,
}: PolicyStoreOptions): Promise<PolicyStore> {
  await mkdir(dir, { recursive: true })
  const entries = new Map<string, Entry>()
  /** Which route takes the requests of a match. */
  const owners = new Map<string, string>()
  const faults = new Map<string, string>()
  const inTurn = createTurns() // compare and set are one step

  for (const name of await routeNames(dir)) remember(name, await readEntry(pathOf(name), name))

  function remember(name: string, entry: Entry): void {
    for (const key of keysOf(entries.get(name))) if (owners.get(key) === name) owners.delete(key)
    for (const key of keysOf(entry)) owners.set(key, name)
    entries.set(name, entry)
  }

  function pathOf(name: string): string {
    return join(dir, `${name}.json`)
  }

  async function commit(name: string, entry: Entry): Promise<void> {
    try {
      await write(pathOf(name), entry.text)
    } catch (error) {
      faults.set(name, `cannot be written (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`)
      throw notWritten(error)
    }
    faults.delete(name)
    remember(name, entry)
  }

  async function put(written: unknown, ifVersion: number | undefined) {
    const policy = parsePolicy(written)
    const before = entries.get(policy.name)
    requireVersion(before, ifVersion, policy.name)
    refuseDuplicates(policy, owners)
    if (
      before?.route &&
      canonicalJson(before.route.written) === canonicalJson(written) &&
      !faults.has(policy.name)
    )
      return { route: before.route, changed: false }
    await admit(policy)
    const entry = nextEntry(before, policy, written)
    await commit(policy.name, entry)
    return { route: entry.route, changed: true }
  }

  return {
    list: () => [...entries.values()].flatMap(({ route }) => route ?? []),
    get: name => entries.get(name)?.route,
    put: (written, { ifVersion } = {}) => inTurn(() => put(written, ifVersion)),
    remove: (name, { ifVersion } = {}) =>
      inTurn(async () => {
        const before = entries.get(name)
        if (!before?.route) throw new WeirError('route_not_found', `there is no route ${name}`)
        requireVersion(before, ifVersion, name)
        await commit(name, removedEntry(before))
      }),
    refresh: name => inTurn(() => refreshEntry(name)),
    async unknown() {
      const names = await routeNames(dir).catch(() => []) // without the folder every known file has its fault
      return [...new Set([...names, ...faults.keys()])].filter(name => !entries.has(name))
    },
    faults: () => faults,
  }

  async function refreshEntry(name: string): Promise<Change | undefined> {
    const before = entries.get(name)
    const text = await readFile(pathOf(name), 'utf8').catch(() => undefined) // gone: a fault, told below
    if (text !== undefined && text === before?.text) {
      faults.delete(name)
      return undefined
    }
    try {
      if (text === undefined) throw new Error('is gone')
      const found = parseEntry(text, name)
      if (found.route) refuseDuplicates(found.route.policy, owners)
      const version = Math.max(found.version, (before?.version ?? 0) + 1) // never back: workers and clients have seen it
      const entry = found.route
        ? nextEntry({ ...(before ?? found), version: version - 1 }, found.route.policy, found.route.written)
        : removedEntry({ ...found, version: version - 1 })
      await commit(name, entry)
      return { name, route: entry.route }
    } catch (error) {
      if (before === undefined && text === undefined) faults.delete(name) // was never good, and is gone
      else faults.set(name, error instanceof Error ? error.message : String(error))
      return undefined
    }
  }
}

async function routeNames(dir: string): Promise<string[]> {
  const names = await readdir(dir)
  return names.filter(name => name.endsWith('.json')).map(name => name.slice(0, -'.json'.length))
}

async function readEntry(path: string, name: string): Promise<Entry> {
  try {
    return parseEntry(await readFile(path, 'utf8'), name)
  } catch (cause) {
    throw new WeirError('invalid_setting', `the policy file ${path} cannot be used`, { cause })
  }
}

function parseEntry(text: string, name: string): Entry {
  const parsed = file.safeParse(JSON.parse(text))
  if (!parsed.success) throw new WeirError('invalid_setting', describeIssues(parsed.error))
  const { version, epoch, policy: written } = parsed.data
  if (written === null) return { version, epoch, route: undefined, text }
  const policy = parsePolicy(written)
  if (policy.name !== name) throw new WeirError('invalid_setting', `names the route "${policy.name}"`)
  return { version, epoch, route: { policy, version, epoch, written }, text }
}

/** Refuses by name what is wrong with a policy. */
function parsePolicy(written: unknown): RoutePolicy {
  const parsed = routePolicy.safeParse(written)
  if (parsed.success) return parsed.data
  const onlyWeights = parsed.error.issues.every(({ path }) => path[0] === 'weights')
  throw new WeirError(onlyWeights ? 'invalid_weights' : 'invalid_setting', describeIssues(parsed.error))
}

function keysOf(entry: Entry | undefined): string[] {
  return entry?.route ? matchKeys(entry.route.policy.match) : []
}

function refuseDuplicates({ name, match }: RoutePolicy, owners: ReadonlyMap<string, string>): void {
  for (const key of matchKeys(match)) {
    const owner = owners.get(key) ?? name
    if (owner !== name)
      throw new WeirError('conflict', `routes "${owner}" and "${name}" match the same requests`)
  }
}

function requireVersion(before: Entry | undefined, wanted: number | undefined, name: string): void {
  if (wanted === undefined) return
  const current = before?.route ? before.version : 0
  if (current === wanted) return
  const message =
    current === 0 ? `there is no route ${name}` : `route ${name} is at version ${current}, not ${wanted}`
  throw new WeirError('precondition_failed', message, { details: { version: current } })
}

function nextEntry(
  before: Omit<Entry, 'text'> | undefined,
  policy: RoutePolicy,
  written: unknown,
): Entry & { route: StoredRoute } {
  const version = (before?.version ?? 0) + 1
  const sameShares = before?.route && sharesOf(before.route.policy) === sharesOf(policy)
  const epoch = sameShares ? before.epoch : version
  const text = `${JSON.stringify({ version, epoch, policy: written }, null, 2)}\n`
  return { version, epoch, text, route: { policy, version, epoch, written } }
}

/** What decides who is dealt to which variant, and changes what feedback means. */
function sharesOf(policy: RoutePolicy): string {
  return canonicalJson([weightsBp(policy), policy.splitBy ?? null])
}

function removedEntry({ version, epoch }: Omit<Entry, 'text'>): Entry {
  const text = `${JSON.stringify({ version: version + 1, epoch, policy: null })}\n`
  return { version: version + 1, epoch, route: undefined, text }
}

function notWritten(cause: unknown): WeirError {
  const code = (cause as NodeJS.ErrnoException).code
  const why =
    code === 'ENOSPC' || code === 'EDQUOT' ? 'no space left' : `the store cannot be written (${code})`
  return new WeirError('insufficient_storage', `${why}; nothing was changed`, { cause })
}
