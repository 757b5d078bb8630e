import type { Socket } from 'node:net'
import { atTurnEnd } from './turn.ts'

/** A body as one attempt reads it. */
export interface BodyReader {
  /** The next chunk, if it is there. */
  next(): Buffer | undefined
  /** Nothing comes after what `next` has given. */
  readonly ended: boolean
  close(): void
}

export interface UploadBody {
  /** Its length, where it is known beforehand. */
  readonly length: number | undefined
  /** All of it has arrived. */
  readonly complete: boolean
  open(onMore: () => void): BodyReader
}

export interface UploadRequest {
  readonly method: string
  readonly path: string
  /** [name, value, …], without Host, Connection and what tells the length of the body. */
  readonly headers: readonly string[]
  readonly body: UploadBody
}

/** A short body goes out in one string with its head: one write of one piece, not a gathered one. */
const JOINED_BYTES = 4096
/** For these a missing body is said to be empty (RFC 9110 8.6). */
const METHODS_WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/**
 * A request on its way out: what is there of it at once, the rest as it comes and no faster than the other side reads.
 * A class, for the sake of `done`: an object literal with a getter gets a hidden class of its own each time, and V8 keeps those,
 * and all they lead to, until the next full collection.
 */
export class Upload {
  done = false
  readonly #socket: Socket
  readonly #request: UploadRequest
  readonly #reader: BodyReader
  #isChunked = false
  readonly #onStalled: (stalled: boolean) => void
  #begun = false
  #stalled = false

  constructor(socket: Socket, request: UploadRequest, onStalled: (stalled: boolean) => void) {
    this.#socket = socket
    this.#request = request
    this.#onStalled = onStalled
    // at the turn's end, because by then an answer that came before a server closed has been read
    this.#reader = request.body.open(() => atTurnEnd(() => this.#pump()))
  }

  start(host: string): void {
    atTurnEnd(() => this.#begin(host))
  }

  #begin(host: string): void {
    if (this.#socket.destroyed) return
    const head = headOf(this.#request, host)
    const { complete, length } = this.#request.body
    this.#isChunked = length === undefined
    if (complete && length !== undefined && length <= JOINED_BYTES) return this.#sendJoined(head)
    this.#begun = true
    this.#socket.cork()
    this.#socket.write(head, 'latin1')
    this.#pump()
    this.#socket.uncork()
  }

  /** The socket takes bytes again. */
  continue(): void {
    if (!this.#stalled) return
    this.#stalled = false
    this.#onStalled(false)
    this.#pump()
  }

  stop(): void {
    this.#reader.close()
  }

  #pump(): void {
    if (!this.#begun || this.done || this.#stalled || this.#socket.destroyed) return
    for (let chunk = this.#reader.next(); chunk !== undefined; chunk = this.#reader.next()) {
      const roomy = this.#isChunked ? writeChunk(this.#socket, chunk) : this.#socket.write(chunk)
      if (roomy || this.#request.body.complete) continue // what is here takes no more memory in the socket's queue
      this.#stalled = true
      return this.#onStalled(true)
    }
    if (this.#reader.ended) this.#finish()
  }

  #sendJoined(head: string): void {
    let text = head
    for (let chunk = this.#reader.next(); chunk !== undefined; chunk = this.#reader.next())
      text += chunk.toString('latin1')
    this.#socket.write(text, 'latin1')
    this.#finish()
  }

  #finish(): void {
    this.done = true
    if (this.#isChunked) this.#socket.write('0\r\n\r\n', 'latin1')
    this.#reader.close()
  }
}

function headOf({ method, path, headers, body }: UploadRequest, host: string): string {
  let text = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`
  for (let index = 0; index < headers.length; index += 2)
    text += `${headers[index]}: ${headers[index + 1]}\r\n`
  if (body.length === undefined) text += 'transfer-encoding: chunked\r\n'
  else if (body.length > 0 || METHODS_WITH_BODY.has(method)) text += `content-length: ${body.length}\r\n`
  return `${text}\r\n`
}

function writeChunk(socket: Socket, chunk: Buffer): boolean {
  socket.cork()
  socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
  socket.write(chunk)
  const roomy = socket.write('\r\n', 'latin1')
  socket.uncork()
  return roomy
}
