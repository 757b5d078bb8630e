import { randomBytes } from 'node:crypto'
import { constants, existsSync, readdirSync, readFileSync, rmSync, type Dirent } from 'node:fs'
import { copyFile, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import type { BrokenVersion } from '../../contract/registry.ts'
import { syncFolder } from '../../lib/atomic-file.ts'
import { describeProblem } from '../../lib/problem.ts'
import { isAlive } from '../../lib/shutdown.ts'
import { readManifest } from './content.ts'

/** What a folder says of itself: DIR/MODEL/VERSION/model.json. A folder without a manifest is no version. */
export interface FoundVersion {
  readonly version: string
  readonly digest: string
  /** What its manifest names. */
  readonly files: readonly string[]
}

interface FoundVersions {
  readonly found: readonly FoundVersion[]
  readonly broken: readonly BrokenVersion[]
}

export type ModelFolder = ReturnType<typeof createModelFolder>

/** Copies on their way in: beside the models, so that a rename brings them there; named by the process that makes them. */
const ARRIVING = /^\.arriving-(\d+)-/

/** The files of versions, and nothing else about them. */
export function createModelFolder(modelsDir: string) {
  const homeOf = (model: string) => join(modelsDir, safeName(model, 'model'))
  const folderOf = (model: string, version: string) => join(homeOf(model), safeName(version, 'version'))

  const newcomer = () => join(modelsDir, `.arriving-${process.pid}-${randomBytes(6).toString('hex')}`)

  /** An empty folder for what is to become a version. */
  async function begin(): Promise<string> {
    const arriving = newcomer()
    await mkdir(arriving, { recursive: true })
    return arriving
  }

  /** Undefined: there is none. Throws, with the place, `invalid_manifest` or `missing_file` for a folder that is no version. */
  async function version(model: string, version: string): Promise<FoundVersion | undefined> {
    const dir = folderOf(model, version)
    return readVersion(dir, version).catch((error: unknown) => locate(dir, error))
  }

  /** Each folder by itself: one that cannot be used says why, and takes nothing from the others. */
  async function versions(model: string): Promise<FoundVersions> {
    const found: FoundVersion[] = []
    const broken: BrokenVersion[] = []
    const names = await folders(homeOf(model)).catch((error: unknown) => {
      broken.push({ version: '*', reason: describeProblem(error) })
      return []
    })
    for (const name of names.filter(isName)) {
      const dir = folderOf(model, name)
      try {
        const read = await readVersion(dir, name)
        if (read === undefined) continue
        await requireFiles(dir, read)
        found.push(read)
      } catch (error) {
        broken.push({ version: name, reason: describeProblem(error) })
      }
    }
    return { found, broken }
  }

  return {
    folderOf,
    version,
    versions,
    /** The folder of a version whose files are all there; throws `missing_file` otherwise. */
    async complete(model: string, found: FoundVersion): Promise<string> {
      const dir = folderOf(model, found.version)
      await requireFiles(dir, found).catch((error: unknown) => locate(dir, error))
      return dir
    },
    begin,
    /** Every number that is in use, whatever lies there. */
    taken: async (model: string) => (await entriesOf(homeOf(model))).map(({ name }) => name),
    async models(): Promise<string[]> {
      const names = (await folders(modelsDir)).filter(isName)
      const hasAny = await Promise.all(
        names.map(async name => {
          const { found, broken } = await versions(name)
          return found.length + broken.length > 0
        }),
      )
      return names.filter((_, index) => hasAny[index])
    },

    /** Copies what the manifest in `source` names to a folder of its own. */
    async take(source: string): Promise<string> {
      const { files } = await readManifest(source)
      const arriving = await begin()
      try {
        for (const file of ['model.json', ...files]) {
          await mkdir(dirname(join(arriving, file)), { recursive: true })
          await copyFile(join(source, file), join(arriving, file), constants.COPYFILE_FICLONE).catch(
            absent(file),
          )
        }
      } catch (error) {
        await rm(arriving, { recursive: true, force: true })
        throw error
      }
      return arriving
    },

    /** Gives it its manifest, and writes all of it through to the disk. */
    async seal(arriving: string, manifest: string): Promise<void> {
      await writeFile(join(arriving, 'model.json'), manifest)
      const entries = await readdir(arriving, { withFileTypes: true, recursive: true })
      for (const entry of entries) {
        const path = join(entry.parentPath, entry.name)
        if (entry.isDirectory()) await syncFolder(path)
        else await syncFile(path)
      }
      await syncFolder(arriving)
    },

    /** Makes it that version in one step; false when there is one of that number already. */
    async place(arriving: string, model: string, version: string): Promise<boolean> {
      const folder = folderOf(model, version)
      await mkdir(dirname(folder), { recursive: true })
      try {
        await rename(arriving, folder)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false
        throw error
      }
      await syncFolder(dirname(folder))
      await syncFolder(modelsDir)
      return true
    },

    /** Takes back what was placed, in one step, too. */
    async withdraw(model: string, version: string): Promise<void> {
      const leaving = newcomer()
      await rename(folderOf(model, version), leaving)
      await rm(leaving, { recursive: true, force: true })
    },

    drop: (arriving: string) => rm(arriving, { recursive: true, force: true }),

    /** Whether exactly this version came to its place; asked at the start only. */
    holds(model: string, version: string, digest: string): boolean {
      const path = join(folderOf(model, version), 'model.json')
      return existsSync(path) && readFileSync(path, 'utf8').includes(`"${digest}"`)
    },

    /** Removes what processes that are gone were copying. */
    sweep(): void {
      if (!existsSync(modelsDir)) return
      for (const name of readdirSync(modelsDir)) {
        const pid = Number(ARRIVING.exec(name)?.[1])
        // our own number may be an earlier process's: at the start nothing of ours is under way
        if (pid === process.pid || (pid > 0 && !isAlive(pid)))
          rmSync(join(modelsDir, name), { recursive: true, force: true })
      }
    },
  }
}

async function entriesOf(dir: string): Promise<Dirent[]> {
  return (await readdir(dir, { withFileTypes: true }).catch(unlessAbsent)) ?? []
}

async function folders(dir: string): Promise<string[]> {
  const entries = await entriesOf(dir)
  const isFolder = await Promise.all(
    entries.map(async entry => entry.isDirectory() || leadsToFolder(dir, entry)),
  )
  return entries.filter((_, index) => isFolder[index]).map(entry => entry.name)
}

/** A version may lie on another disk; a link that cannot be followed is told of like any other folder that cannot be used. */
async function leadsToFolder(dir: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false
  return stat(join(dir, entry.name)).then(
    found => found.isDirectory(),
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  )
}

async function readVersion(dir: string, version: string): Promise<FoundVersion | undefined> {
  const manifestAt = await stat(join(dir, 'model.json')).catch(unlessAbsent)
  if (manifestAt === undefined) return undefined
  const { manifest, files } = await readManifest(dir)
  if (manifest.digest === undefined) throw new WeirError('invalid_manifest', 'model.json states no digest')
  return { version, digest: manifest.digest, files }
}

/** That they are there, not what they hold: whoever serves a version verifies its digest. */
async function requireFiles(dir: string, { files }: FoundVersion): Promise<void> {
  for (const file of files) {
    const found = await stat(join(dir, file)).catch(unlessAbsent)
    if (found?.isFile() !== true) throw new WeirError('missing_file', `${file} is missing`)
  }
}

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}

const UNREADABLE = new Set(['EACCES', 'EPERM', 'ELOOP'])

/** A folder that somebody laid there by hand must be named, or nobody finds it. */
function locate(dir: string, cause: unknown): never {
  if (cause instanceof WeirError) throw new WeirError(cause.code, `${dir}: ${cause.message}`, { cause })
  if (UNREADABLE.has((cause as NodeJS.ErrnoException).code ?? ''))
    throw new WeirError('missing_file', `${dir}: ${describeProblem(cause)}`, { cause })
  throw cause
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

function absent(file: string) {
  return (cause: NodeJS.ErrnoException): never => {
    if (cause.code !== 'ENOENT' && cause.code !== 'EISDIR' && cause.code !== 'ENOTDIR') throw cause
    throw new WeirError('missing_file', `${file} is missing`, { cause })
  }
}

/** What a model or a version may be called. */
export function isName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,62}$/.test(name)
}

/** Names become path segments: nothing that could leave the models folder. */
function safeName(name: string, of: 'model' | 'version'): string {
  if (isName(name)) return name
  throw new WeirError(`${of}_not_found`, `"${name}" is no name of a ${of}`)
}

/** For names that are given to something new. */
export function requireName(name: string): void {
  if (isName(name)) return
  throw new WeirError(
    'invalid_setting',
    `"${name}" must be 1 to 63 letters, digits, dots, hyphens or underscores, a letter or digit first`,
  )
}
