import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectSecure } from 'node:tls'
import type { FailureReason } from '../../contract/policy.ts'
import type { RawHead } from './answer-head.ts'
import { AnswerParser, type AnswerSink } from './answer-parser.ts'
import { Upload, type UploadRequest } from './upload.ts'

/** What becomes of a request, told in this order: head, data …, then end or failure; nothing after `abort`. */
export interface AnswerHandler {
  onHead(head: RawHead): void
  onData(chunk: Buffer): void
  onEnd(): void
  onFailure(failure: CallFailure): void
  /** The other side takes no more of the body (true), or takes it again. */
  onStalled(stalled: boolean): void
}

export interface CallFailure {
  readonly reason: FailureReason
  /** Not a byte of the request can have been acted upon. */
  readonly unsent: boolean
  /** The connection had served before and closed before a byte of the answer came: likely the reuse race. */
  readonly reusedConnection: boolean
}

/** One request under way. */
export interface Call {
  /** Something of it may have reached the other side. */
  readonly sent: boolean
  /** Gives up without a word to the handler. */
  abort(): void
  pause(): void
  resume(): void
}

export interface ConnectionOwner {
  /** It can be used again; undefined: the server said nothing of how long. */
  onIdle(connection: Connection, idleMs: number | undefined): void
  onClosed(connection: Connection, failure: CallFailure | undefined): void
}

interface Job {
  readonly request: UploadRequest
  readonly handler: AnswerHandler
}

/** TCP keep-alive: a peer that vanished without a word is noticed in the end. */
const PROBE_AFTER_MS = 60_000

/** One HTTP/1.1 connection to a model server: one request at a time, no pipelining. */
export class Connection implements Call, AnswerSink {
  sent = false
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #parser = new AnswerParser(this)
  readonly #host: string
  #connectTimer: NodeJS.Timeout | undefined
  #connected = false
  #job: Job | undefined
  #upload: Upload | undefined
  #served = 0
  #answerSeen = false
  #keepAlive = true
  #idleMs: number | undefined

  constructor(origin: URL, connectTimeoutMs: number, owner: ConnectionOwner) {
    this.#owner = owner
    this.#host = origin.host
    this.#socket = openSocket(origin, () => this.#ready())
    this.#connectTimer = setTimeout(() => this.#fail('connect'), connectTimeoutMs)
    this.#socket
      .on('data', chunk => this.#receive(chunk))
      .on('drain', () => this.#upload?.continue())
      .on('end', () => this.#ended())
      .on('error', error => this.#troubled(error))
      .on('close', () => this.#lost())
  }

  get usable(): boolean {
    return this.#connected && !this.#socket.destroyed
  }

  start(request: UploadRequest, handler: AnswerHandler): this {
    this.#job = { request, handler }
    this.sent = false
    this.#answerSeen = false
    if (this.#connected) this.#send(this.#job)
    return this
  }

  abort(): void {
    this.#job = undefined
    this.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    clearTimeout(this.#connectTimer)
    this.#parser.stop()
    this.#upload?.stop()
    this.#socket.destroy()
  }

  onAnswerHead(head: RawHead): void {
    this.#keepAlive = head.keepAlive
    this.#idleMs = head.idleMs
    this.#job?.handler.onHead(head)
  }

  onAnswerData(chunk: Buffer): void {
    this.#job?.handler.onData(chunk)
  }

  onAnswerEnd(surplus: boolean): void {
    const handler = this.#job?.handler
    this.#job = undefined
    this.#served++
    const clean = !surplus && this.#keepAlive && this.#upload?.done !== false
    if (clean && this.usable) this.#rest()
    else this.destroy()
    handler?.onEnd()
  }

  onInvalid(): void {
    this.#fail('invalid')
  }

  #ready(): void {
    clearTimeout(this.#connectTimer)
    this.#connected = true
    if (this.#job) this.#send(this.#job)
  }

  #send({ request, handler }: Job): void {
    this.sent = true
    this.#parser.expect(request.method)
    this.#upload = new Upload(this.#socket, request, stalled => handler.onStalled(stalled))
    this.#upload.start(this.#host)
  }

  /** Waits for the next request. A client that read slowly may have left it paused. */
  #rest(): void {
    this.#upload = undefined
    if (this.#socket.isPaused()) this.#socket.resume()
    this.#owner.onIdle(this, this.#idleMs)
  }

  #receive(chunk: Buffer): void {
    if (this.#job === undefined) return this.destroy() // nobody asked: it must not become the answer to what comes next
    this.#answerSeen = true
    this.#parser.push(chunk)
  }

  #ended(): void {
    this.#keepAlive = false
    if (!this.#parser.close()) this.#lost()
  }

  /**
   * A server may answer before it has read the request, and close; our next write then fails while its answer waits to be read.
   * Nothing more is written, and what comes, or that nothing does, decides.
   */
  #troubled({ syscall }: NodeJS.ErrnoException): void {
    if (syscall !== 'write' || this.#job === undefined) return this.#lost()
    this.#keepAlive = false
    this.#upload?.stop()
  }

  #lost(): void {
    this.#fail(this.#connected ? 'reset' : 'connect')
  }

  #fail(reason: FailureReason): void {
    const handler = this.#job?.handler
    const reusedConnection = reason === 'reset' && this.#served > 0 && !this.#answerSeen
    const failure = { reason, unsent: !this.sent, reusedConnection }
    this.#job = undefined
    this.destroy()
    this.#owner.onClosed(this, handler && failure)
    handler?.onFailure(failure)
  }
}

function openSocket(origin: URL, onConnected: () => void): Socket {
  const isSecure = origin.protocol === 'https:'
  const host = origin.hostname.replace(/^\[|\]$/g, '')
  const options = {
    host,
    port: Number(origin.port) || (isSecure ? 443 : 80),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_AFTER_MS,
  }
  return isSecure
    ? connectSecure({ ...options, ...serverName(host), ALPNProtocols: ['http/1.1'] }, onConnected)
    : readableAfterFailedWrite(connectPlain(options, onConnected))
}

/**
 * Node closes a socket whose write failed, unread, and has no option against it for sockets: hence the switches of its streams.
 * A failed read destroys it all the same.
 */
function readableAfterFailedWrite(socket: Socket): Socket {
  const { _readableState: reading, _writableState: writing } = socket as unknown as StreamStates
  reading.autoDestroy = false
  writing.autoDestroy = false
  return socket.on('error', () => {
    if (!socket.destroyed) reading.errored = null
  })
}

interface StreamStates {
  readonly _readableState: { autoDestroy: boolean; errored: Error | null }
  readonly _writableState: { autoDestroy: boolean }
}

/** An address is no server name (RFC 6066 3). */
function serverName(host: string): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {}
}
