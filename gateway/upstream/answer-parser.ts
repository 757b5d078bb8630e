import { parseHead, type RawHead } from './answer-head.ts'

/** What comes out of the bytes of one answer, in this order; nothing after `onAnswerEnd` or `onInvalid`. */
export interface AnswerSink {
  onAnswerHead(head: RawHead): void
  onAnswerData(chunk: Buffer): void
  /** `surplus`: more came than the answer; whatever that is, nobody asked for it. */
  onAnswerEnd(surplus: boolean): void
  onInvalid(): void
}

/** Heads, chunk sizes and trailers over this are refused. */
const MAX_HEAD_BYTES = 32 * 1024
const MAX_SIZE_LINE_BYTES = 1024
const END_OF_HEAD = Buffer.from('\r\n\r\n')
const END_OF_LINE = Buffer.from('\r\n')
const NOTHING = Buffer.alloc(0)
const SWITCHING_PROTOCOLS = 101

type State = 'none' | 'head' | 'length' | 'close' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer'

/** Reads the answers of one HTTP/1.1 connection (RFC 9112), one at a time, however their bytes are cut up. */
export class AnswerParser {
  readonly #sink: AnswerSink
  #state: State = 'none'
  #method = ''
  /** Of a head or line that is not complete yet. */
  #held: Buffer = NOTHING
  /** Bytes of the body, or of the current chunk, still to come. */
  #left = 0
  #trailerBytes = 0

  constructor(sink: AnswerSink) {
    this.#sink = sink
  }

  /** A request was sent: its answer is what comes next. */
  expect(method: string): void {
    this.#state = 'head'
    this.#method = method
  }

  /** Whatever still comes is of no interest. */
  stop(): void {
    this.#state = 'none'
    this.#held = NOTHING
  }

  push(received: Buffer): void {
    const held = this.#held
    let rest: Buffer | undefined = held.length === 0 ? received : Buffer.concat([held, received])
    this.#held = NOTHING
    while (rest !== undefined && rest.length > 0 && this.#state !== 'none') rest = this.#step(rest)
  }

  /** The connection ended: true when that was the end of the answer. */
  close(): boolean {
    if (this.#state !== 'close') return false
    this.#end(false)
    return true
  }

  /** Takes what it can off the front; undefined: nothing is left, or not enough. */
  #step(bytes: Buffer): Buffer | undefined {
    switch (this.#state) {
      case 'none':
        return undefined
      case 'head':
        return this.#readHead(bytes)
      case 'close':
        return void this.#sink.onAnswerData(bytes)
      case 'length':
      case 'chunk':
        return this.#readBody(bytes)
      case 'chunk-size':
        return this.#readSize(bytes)
      case 'chunk-end':
        return this.#readChunkEnd(bytes)
      case 'trailer':
        return this.#readTrailer(bytes)
    }
  }

  #readHead(bytes: Buffer): Buffer | undefined {
    const end = bytes.indexOf(END_OF_HEAD)
    if (end > MAX_HEAD_BYTES || (end === -1 && bytes.length > MAX_HEAD_BYTES)) return this.#refuse()
    if (end === -1) return looksLikeHead(bytes) ? this.#hold(bytes) : this.#refuse()
    const head = parseHead(bytes.toString('latin1', 0, end), this.#method)
    if (head === undefined || head.status === SWITCHING_PROTOCOLS) return this.#refuse()
    const rest = bytes.subarray(end + END_OF_HEAD.length)
    if (head.status >= 200) this.#begin(head, rest) // 1xx is meant for this connection; the answer is yet to come
    return rest
  }

  #begin(head: RawHead, rest: Buffer): void {
    const { framing } = head
    this.#left = framing.by === 'length' ? framing.bytes : 0
    this.#state = framing.by === 'chunks' ? 'chunk-size' : framing.by === 'close' ? 'close' : 'length'
    this.#sink.onAnswerHead(head)
    if (this.#state === 'length' && this.#left === 0) this.#end(rest.length > 0)
  }

  #readBody(bytes: Buffer): Buffer | undefined {
    const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= part.length
    this.#sink.onAnswerData(part)
    if (this.#left > 0) return undefined
    const surplus = bytes.length > part.length
    if (this.#state === 'length') this.#end(surplus)
    else if (this.#state === 'chunk') this.#state = 'chunk-end'
    return surplus ? bytes.subarray(part.length) : undefined
  }

  #readSize(bytes: Buffer): Buffer | undefined {
    const end = bytes.indexOf(END_OF_LINE)
    if (end === -1) return bytes.length > MAX_SIZE_LINE_BYTES ? this.#refuse() : this.#hold(bytes)
    const size = /^([\dA-Fa-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(
      bytes.toString('latin1', 0, end),
    )?.[1]
    if (size === undefined) return this.#refuse()
    this.#left = Number.parseInt(size, 16)
    this.#trailerBytes = 0
    this.#state = this.#left === 0 ? 'trailer' : 'chunk'
    return bytes.subarray(end + END_OF_LINE.length)
  }

  #readChunkEnd(bytes: Buffer): Buffer | undefined {
    if (bytes.length < END_OF_LINE.length) return this.#hold(bytes)
    if (bytes[0] !== END_OF_LINE[0] || bytes[1] !== END_OF_LINE[1]) return this.#refuse()
    this.#state = 'chunk-size'
    return bytes.subarray(END_OF_LINE.length)
  }

  /** Trailers are not passed on: no client of ours asks for them (TE is taken off). */
  #readTrailer(bytes: Buffer): Buffer | undefined {
    const end = bytes.indexOf(END_OF_LINE)
    const length = end === -1 ? bytes.length : end + END_OF_LINE.length
    if (this.#trailerBytes + length > MAX_HEAD_BYTES) return this.#refuse()
    if (end === -1) return this.#hold(bytes)
    this.#trailerBytes += length
    const rest = bytes.subarray(length)
    if (end === 0) this.#end(rest.length > 0)
    return rest
  }

  #hold(bytes: Buffer): undefined {
    this.#held = bytes
  }

  #end(surplus: boolean): void {
    this.stop()
    this.#sink.onAnswerEnd(surplus)
  }

  #refuse(): undefined {
    this.stop()
    this.#sink.onInvalid()
  }
}

const BEGINNING = Buffer.from('HTTP/1.')

/** Of what speaks something else we need not wait for an empty line. */
function looksLikeHead(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, BEGINNING.length)
  return bytes.compare(BEGINNING, 0, length, 0, length) === 0
}
