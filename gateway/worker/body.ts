import type { IncomingMessage } from 'node:http'
import { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'

/** A request's body: received once, read by as many attempts as it takes while it is kept. */
export interface RequestBody {
  /** All of it has arrived. */
  readonly complete: boolean
  /** Every chunk is still here, so another attempt (or the mirror) can have it. */
  readonly replayable: boolean
  readonly bytes: number
  /** Calls back once, when it is complete or too long to wait for: attempts start then. */
  whenGathered(callback: () => void): void
  /** Calls back once when it is complete; at once when it is already. */
  whenComplete(callback: () => void): void
  /** The body for one attempt: nothing, one buffer, or a stream of its own over the kept chunks and those to come. */
  open(): Buffer | Readable | null
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
  whenGathered: callback => callback(),
  whenComplete: callback => callback(),
  open: () => null,
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
  #readers: ReplayStream[] = []
  #holders = 1
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

  open(): Buffer | Readable | null {
    if (this.complete && this.#chunks.length <= 1 && this.#dropped === 0) return this.#chunks[0] ?? null
    const reader = new ReplayStream(this)
    this.#readers.push(reader)
    return reader as unknown as Readable // as far as undici's writer goes
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

  forget(reader: ReplayStream): void {
    this.#readers = this.#readers.filter(other => other !== reader)
  }

  #receive(chunk: Buffer): void {
    this.bytes += chunk.length
    if (this.bytes > this.#options.maxBytes) {
      this.#stopReading()
      return this.#options.onTooLarge()
    }
    this.#chunks.push(chunk)
    this.#account(chunk.length)
    for (const reader of this.#readers) reader.more()
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
    for (const reader of this.#readers) reader.more()
    this.#gathered()
    for (const callback of this.#onComplete.splice(0)) callback()
  }

  #stopReading(): void {
    this.#request.removeAllListeners('data')
    this.#request.pause()
  }
}

/**
 * The body for one attempt. undici destroys the body of a failed attempt; it gets this and never the request itself. No Readable
 * of Node's: what undici's writer uses of a stream is below, and a Readable costs more than the rest of an attempt at 60 KB.
 */
class ReplayStream extends EventEmitter {
  readonly #body: KeptBody
  #position = 0
  #flowing = false
  #over = false

  constructor(body: KeptBody) {
    super()
    this.#body = body
  }

  resume(): this {
    this.#flowing = true
    this.more()
    return this
  }

  pause(): this {
    this.#flowing = false
    return this
  }

  /** Only there because undici knows a stream by it. */
  pipe(): never {
    throw new Error('not for piping')
  }

  more(): void {
    while (this.#flowing && !this.#over) {
      const chunk = this.#body.chunkAt(this.#position)
      if (chunk === undefined) break
      this.#position++
      this.emit('data', chunk)
      this.#body.consumed(this.#position)
    }
    if (!this.#flowing || this.#over) return
    if (this.#body.complete && this.#body.chunkAt(this.#position) === undefined) this.#end()
  }

  destroy(error?: Error): this {
    if (this.#over) return this
    this.#over = true
    this.#body.forget(this)
    if (error && this.listenerCount('error') > 0) this.emit('error', error)
    this.emit('close')
    return this
  }

  /** Not at once: undici is still putting its listeners on when it first asks for data, and would never take them off. */
  #end(): void {
    this.#over = true
    this.#body.forget(this)
    process.nextTick(() => {
      this.emit('end')
      this.emit('close')
    })
  }
}
