import { ftruncateSync, mkdirSync, renameSync } from 'node:fs'
import { open, readdir, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'

// Each process of a version writes into a file of its own, MODEL/VERSION/DEPLOYMENT.NUMBER.log, which outlives it. Processes hold
// their files open, also while no controller runs, so a file that has become large is copied and emptied, not renamed.

/** One process, whatever run of it. */
export interface Instance {
  readonly deployment: string
  readonly number: number
  readonly model: string
  readonly version: string
}

export interface LogFile {
  /** DEPLOYMENT/NUMBER. */
  readonly instance: string
  readonly path: string
}

/** A file that has grown beyond this is begun anew; what it held is kept beside it, once. */
const MAX_FILE_BYTES = 8 * 1024 * 1024
/** Of processes that are no more: the oldest are forgotten first. */
const MAX_DEAD_BYTES = 256 * 1024 * 1024
const MAX_DEAD_FILES = 1000
/** Of one version: what tells how far they were read goes through a URL. */
const MAX_FOUND = 50
const CHUNK_BYTES = 256 * 1024

export interface LogLimits {
  readonly fileBytes?: number
  readonly deadBytes?: number
}

export function createLogFiles(dir: string, limits: LogLimits = {}) {
  const { fileBytes = MAX_FILE_BYTES, deadBytes = MAX_DEAD_BYTES } = limits
  const folderOf = (model: string, version: string) => join(dir, folderName(model), folderName(version))

  const fileOf = ({ deployment, number, model, version }: Instance) =>
    join(folderOf(model, version), `${deployment}.${number}.log`)

  async function deadFiles(living: ReadonlySet<string>) {
    const names = await readdir(dir, { recursive: true }).catch(noneYet)
    const paths = names.filter(name => IS_LOG.test(name)).map(name => join(dir, name))
    const dead = paths.filter(path => !living.has(path.replace(/\.1$/, '')))
    const found = await Promise.all(dead.map(async path => ({ path, ...(await sizeOf(path)) })))
    return found.toSorted((a, b) => b.changedAt - a.changedAt)
  }

  return {
    /** The file of one process, before it is opened for the first time. */
    prepare(instance: Instance): string {
      mkdirSync(folderOf(instance.model, instance.version), { recursive: true })
      return fileOf(instance)
    },
    of: fileOf,
    /** Of the processes that ran a version, those that wrote last. */
    async find(model: string, version: string): Promise<LogFile[]> {
      const folder = folderOf(model, version)
      const names = await readdir(folder).catch(noneYet)
      const found = names.flatMap(name => {
        const [, deployment, number] = /^(.+)\.(\d+)\.log$/.exec(name) ?? []
        return number === undefined ? [] : [{ instance: `${deployment}/${number}`, path: join(folder, name) }]
      })
      const aged = await Promise.all(found.map(async file => ({ file, ...(await sizeOf(file.path)) })))
      const newest = aged.toSorted((a, b) => b.changedAt - a.changedAt).slice(0, MAX_FOUND)
      return newest.map(({ file }) => file)
    },
    /** Begins a file anew that has grown too large. */
    async limit(path: string): Promise<void> {
      const { size } = await sizeOf(path)
      // one that writes faster than we look loses the beginning
      if (size > fileBytes) await setAside(path, Math.max(0, size - 2 * fileBytes), 4 * fileBytes)
    },
    /** Forgets the oldest files of processes that are no more, beyond what is kept of them. */
    async sweep(living: readonly string[]): Promise<void> {
      let kept = 0
      for (const [index, { path, size }] of (await deadFiles(new Set(living))).entries()) {
        kept += size
        if (kept > deadBytes || index >= MAX_DEAD_FILES) await rm(path, { force: true })
      }
    },
  }
}

const IS_LOG = /\.log(\.1)?$/

/** What was set aside of a file. */
export function olderOf(path: string): string {
  return `${path}.1`
}

/** Its process goes on writing into the same file, at its new end; what it writes until the last moment is copied, too. */
async function setAside(path: string, from: number, most: number): Promise<void> {
  const next = join(dirname(path), '.setting-aside')
  const source = await open(path, 'r+')
  try {
    const isKept = await copyEnd(source, next, { from, most }).then(() => true, forgetOnFullDisk(next))
    // at once, so that nobody who reads along finds the one without the other
    ftruncateSync(source.fd, 0)
    if (isKept) renameSync(next, olderOf(path))
  } finally {
    await source.close()
  }
}

/** Room is what is needed then, more than what was written long ago. */
function forgetOnFullDisk(copy: string): (error: NodeJS.ErrnoException) => Promise<false> {
  return async error => {
    await rm(copy, { force: true })
    if (error.code !== 'ENOSPC') throw error
    return false
  }
}

async function copyEnd(
  source: FileHandle,
  path: string,
  { from, most }: { readonly from: number; readonly most: number },
): Promise<void> {
  const target = await open(path, 'w')
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    for (let at = from; at < from + most;) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, at)
      if (bytesRead === 0) break
      await target.write(buffer, 0, bytesRead)
      at += bytesRead
    }
  } finally {
    await target.close()
  }
}

async function sizeOf(path: string): Promise<{ size: number; changedAt: number }> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined // it has written nothing yet, or was just forgotten
    throw error
  })
  return { size: found?.size ?? 0, changedAt: found?.mtimeMs ?? 0 }
}

function noneYet(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

/** Names come from requests, too: none leads out of the folder. */
function folderName(name: string): string {
  return encodeURIComponent(name).replace(/^\./, '%2E')
}
