import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import { relativePath } from '../../contract/model-manifest.ts'
import { MultipartError, readParts, type Part } from '../../lib/multipart.ts'
import { storageFull } from './storage-full.ts'

export interface UploadLimits {
  /** All files of one version together. */
  readonly maxBytes: number
  /** Nothing arrives for this long: the sender is gone. */
  readonly idleMs: number
}

const MIB = 1024 ** 2
/** An ONNX file cannot be larger than 2 GiB; the rest is for what lies beside it. */
export const UPLOAD_LIMITS: UploadLimits = { maxBytes: 2112 * MIB, idleMs: 30_000 }
/** model.json and as many as a manifest may list. */
const MAX_FILES = 10_001
const MAX_UPLOADS = 4
const MAX_PATH_LENGTH = 255

export interface Form {
  readonly body: AsyncIterable<Uint8Array>
  readonly contentType: string
  /** As announced. */
  readonly bytes?: number | undefined
}

export type Uploads = ReturnType<typeof createUploads>

/** Forms whose fields are files, by their paths; each form lies in a folder of its own only while `use` runs. */
export function createUploads(dir: string, limits: UploadLimits = UPLOAD_LIMITS) {
  rmSync(dir, { recursive: true, force: true }) // of a process that was killed meanwhile
  let underWay = 0

  function requireSize(bytes: number): void {
    if (bytes > limits.maxBytes)
      throw new WeirError(
        'body_too_large',
        `all files of a version together may have ${Math.floor(limits.maxBytes / MIB)} MiB`,
      )
  }

  async function receive(folder: string, { body, contentType }: Form): Promise<void> {
    const seen = new Set<string>()
    let received = 0
    const spend = (bytes: number) => requireSize((received += bytes))
    for await (const part of readParts(withIdleLimit(body, limits.idleMs), contentType)) {
      requirePath(part.name, seen)
      await store(join(folder, part.name), part, spend)
    }
  }

  return async <Result>(form: Form, use: (folder: string) => Promise<Result>): Promise<Result> => {
    if (underWay >= MAX_UPLOADS)
      throw new WeirError('too_many_requests', `${MAX_UPLOADS} versions are being uploaded`, {
        retryAfterSeconds: 5,
      })
    requireSize(form.bytes ?? 0)
    const folder = join(dir, randomUUID())
    underWay++
    try {
      await mkdir(folder, { recursive: true })
      await receive(folder, form).catch(explain)
      return await use(folder)
    } finally {
      underWay--
      await rm(folder, { recursive: true, force: true })
    }
  }
}

function requirePath(name: string, seen: Set<string>): void {
  if (!relativePath.safeParse(name).success || name.length > MAX_PATH_LENGTH)
    throw new WeirError(
      'bad_request',
      `a field's name must be the path of a file beside model.json, not "${name.slice(0, 100)}"`,
    )
  if (seen.has(name)) throw new WeirError('bad_request', `${name} is sent twice`)
  if (seen.add(name).size > MAX_FILES)
    throw new WeirError('bad_request', `a version may have ${MAX_FILES} files`)
}

async function store(path: string, { content }: Part, spend: (bytes: number) => void): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const file = await open(path, 'wx')
  try {
    for await (const chunk of content) {
      spend(chunk.length)
      await file.write(chunk)
    }
  } finally {
    await file.close()
  }
}

async function* withIdleLimit(body: AsyncIterable<Uint8Array>, idleMs: number): AsyncGenerator<Uint8Array> {
  const source = body[Symbol.asyncIterator]()
  for (;;) {
    const { value, done } = await within(source.next(), idleMs)
    if (done === true) return
    yield value
  }
}

async function within<Result>(work: Promise<Result>, idleMs: number): Promise<Result> {
  const silence = Promise.withResolvers<never>()
  const giveUp = () =>
    silence.reject(new WeirError('request_timeout', `nothing arrived for ${idleMs / 1000} s`))
  const timer = setTimeout(giveUp, idleMs)
  try {
    return await Promise.race([work, silence.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** One file in the place of another's folder (`a` and `a/b`), a form that is none, a sender that is gone, a full disk. */
function explain(error: NodeJS.ErrnoException): never {
  if (error instanceof MultipartError)
    throw new WeirError('invalid_multipart', error.message, { cause: error })
  if (error.code === 'EEXIST' || error.code === 'ENOTDIR' || error.code === 'EISDIR')
    throw new WeirError('bad_request', 'a file is also named as a folder', { cause: error })
  if (error.code === 'ECONNRESET' || error.code === 'ERR_STREAM_PREMATURE_CLOSE')
    throw new WeirError('client_closed_request', 'the upload was broken off', { cause: error })
  throw storageFull(error)
}
