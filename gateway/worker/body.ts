import type { IncomingMessage } from 'node:http'
import type { BodyReader } from '../upstream/upload.ts'

/** A request's body: received once, read by as many attempts as it takes while it is kept. */
export interface RequestBody {
  /** All of it has arrived. */
  readonly complete: boolean
  /** Every chunk is still here, so another attempt (or the mirror) can have it. */
  readonly replayable: boolean
  readonly bytes: number
  /** Of the whole, where it is known: because the client said so, or because all is here. */
  readonly length: number | undefined
  /** Calls back once, when it is complete or too long to wait for: attempts start then. */
  whenGathered(callback: () => void): void
  /** Calls back once when it is complete; at once when it is already. */
  whenComplete(callback: () => void): void
  /** The body for one attempt: the kept chunks and those to come, of which `onMore` tells. */
  open(onMore: () => void): BodyReader
  /** All of a complete and kept body, for a digest or a record. */
  chunks(): readonly Buffer[]
  /** Somebody else needs it too; every `retain`, and the making of the body, is answered by one `release`. */
  retain(): void
  release(): void
}

export interface BodyOptions {
  readonly keepBytes: number
  readonly maxBytes: number
  /** The body went over `maxBytes`; the rest is not read. */
  readonly onTooLarge: () => void
  readonly memory: KeptMemory
}

/** What all bodies of this worker together keep. */
export interface KeptMemory {
  readonly limitBytes: number
  usedBytes: number
}

/** Up to this much is gathered before an attempt starts: a slow client then occupies no upstream, as with nginx's buffering. */
const GATHER_BYTES = 256 * 1024
/** A body that is not kept is read ahead of its attempt by this much. */
const READ_AHEAD_BYTES = 256 * 1024

export const EMPTY_BODY: RequestBody = {
  complete: true,
  replayable: true,
  bytes: 0,
  length: 0,
  whenGathered: callback => callback(),
  whenComplete: callback => callback(),
  open: () => ({ next: () => undefined, ended: true, close: () => undefined }),
  chunks: () => [],
  retain: () => undefined,
  release: () => undefined,
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** Keeps references to the chunks as they were received: joining them would cost a copy of every photo. */
export class KeptBody implements RequestBody {
  complete = false
  replayable = true
  bytes = 0
  readonly #request: IncomingMessage
  readonly #options: BodyOptions
  #chunks: Buffer[] = []
  /** Chunks given up after the body became too long to keep. */
  #dropped = 0
  #readers: Reader[] = []
  #holders = 1
  #released = false
  #onGathered: (() => void) | undefined
  #onComplete: (() => void)[] = []

  constructor(request: IncomingMessage, options: BodyOptions) {
    this.#request = request
    this.#options = options
    request.on('data', (chunk: Buffer) => this.#receive(chunk))
    request.on('end', () => this.#finish())
    request.on('error', () => undefined) // an abort is seen as the answer's 'close'; without a listener it would end the process
  }

  whenGathered(callback: () => void): void {
    if (this.complete || this.bytes > GATHER_BYTES) callback()
    else this.#onGathered = callback
  }

  whenComplete(callback: () => void): void {
    if (this.complete) callback()
    else this.#onComplete.push(callback)
  }

  get length(): number | undefined {
    if (this.complete) return this.bytes
    const declared = this.#request.headers['content-length'] // the parser holds the client to it
    return declared === undefined ? undefined : Number(declared)
  }

  open(onMore: () => void): BodyReader {
    const reader = new Reader(this, onMore)
    if (!this.complete) this.#readers.push(reader)
    return reader
  }

  chunks(): readonly Buffer[] {
    return this.#chunks
  }

  retain(): void {
    this.#holders++
  }

  release(): void {
    if (--this.#holders > 0) return
    if (this.replayable) this.#options.memory.usedBytes -= this.bytes
    this.replayable = false
    this.#released = true
    if (!this.complete) this.#request.resume() // the client is let finish, or it might never read its answer
    this.#chunks = []
    this.#readers = []
  }

  /** The chunk at a position; undefined: not there yet. */
  chunkAt(position: number): Buffer | undefined {
    return this.#chunks[position - this.#dropped]
  }

  /** A reader took everything up to `position`. */
  consumed(position: number): void {
    if (this.replayable) return
    while (this.#dropped < position && this.#chunks.length > 0) {
      this.#chunks.shift()
      this.#dropped++
    }
    if (this.#chunks.length === 0) this.#request.resume()
  }

  forget(reader: Reader): void {
    if (this.#readers.length === 0) return
    this.#readers = this.#readers.filter(other => other !== reader)
  }

  #receive(chunk: Buffer): void {
    if (this.#released) return
    this.bytes += chunk.length
    if (this.bytes > this.#options.maxBytes) {
      this.#stopReading()
      return this.#options.onTooLarge()
    }
    this.#chunks.push(chunk)
    this.#account(chunk.length)
    for (const reader of this.#readers) reader.onMore()
    if (this.bytes > GATHER_BYTES) this.#gathered()
    if (!this.replayable && this.#unread() > READ_AHEAD_BYTES) this.#request.pause()
  }

  #account(length: number): void {
    if (!this.replayable) return
    const { memory, keepBytes } = this.#options
    memory.usedBytes += length
    if (this.bytes <= keepBytes && memory.usedBytes <= memory.limitBytes) return
    memory.usedBytes -= this.bytes
    this.replayable = false
  }

  #unread(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  #gathered(): void {
    const callback = this.#onGathered
    this.#onGathered = undefined
    callback?.()
  }

  #finish(): void {
    this.complete = true
    for (const reader of this.#readers) reader.onMore()
    this.#gathered()
    for (const callback of this.#onComplete.splice(0)) callback()
  }

  #stopReading(): void {
    this.#request.removeAllListeners('data')
    this.#request.pause()
  }
}

/** One attempt's way through the body. */
class Reader implements BodyReader {
  readonly onMore: () => void
  readonly #body: KeptBody
  #position = 0

  constructor(body: KeptBody, onMore: () => void) {
    this.#body = body
    this.onMore = onMore
  }

  get ended(): boolean {
    return this.#body.complete && this.#body.chunkAt(this.#position) === undefined
  }

  next(): Buffer | undefined {
    const chunk = this.#body.chunkAt(this.#position)
    if (chunk !== undefined) this.#body.consumed(++this.#position)
    return chunk
  }

  close(): void {
    this.#body.forget(this)
  }
}
