import type { ServerResponse } from 'node:http'
import { atTurnEnd } from '../upstream/turn.ts'
import type { Answer } from './answer.ts'
import { sendAnswerHead, type AnswerMarks } from './respond.ts'

/** The way of one answer to the client, no faster than the client reads. */
export interface Delivery {
  begin(answer: Answer, contentLength: number | undefined, marks: AnswerMarks): void
  write(answer: Answer, chunk: Buffer): void
  /** `payload`: bytes, or a string of which each character is one. */
  end(answer: Answer, payload?: Buffer | string): void
  /** Cuts the answer short so that the client notices. */
  cut(): void
}

/** A short answer goes out as a string of bytes: Node then joins it with the head into one write, not a gathered one. */
const JOINED_BYTES = 4096
/** A client that reads nothing for this long, or twice as long when the system had room for a part, is cut off. */
const SLOW_READER_MS = 30_000

export function createDelivery(response: ServerResponse): Delivery {
  // What comes in one turn of the event loop leaves together at its end: mostly the whole answer, in one write.
  let waiting: (Buffer | string)[] = []
  let flushing = false
  let ended = false
  let paused = false

  function flushLater(answer: Answer): void {
    if (flushing) return
    flushing = true
    atTurnEnd(() => flush(answer))
  }

  function flush(answer: Answer): void {
    flushing = false
    if (response.destroyed) return
    const chunks = waiting
    waiting = []
    const last = ended ? chunks.pop() : undefined
    for (const chunk of chunks) send(answer, chunk)
    if (ended) end(response, last)
    else if (chunks.length === 0) response.flushHeaders() // a slow body must not hold back its head
  }

  function send(answer: Answer, chunk: Buffer | string): void {
    if (response.write(chunk, 'latin1') || paused) return
    paused = true
    answer.attempt?.pause()
    cutOffSlowReader(response)
    response.once('drain', () => {
      paused = false
      response.socket?.setTimeout(0)
      answer.attempt?.resume()
    })
  }

  return {
    begin(answer, contentLength, marks) {
      if (answer.head) sendAnswerHead(response, answer.head, contentLength, marks)
      flushLater(answer)
    },
    write(answer, chunk) {
      waiting.push(chunk)
      flushLater(answer)
    },
    end(answer, payload) {
      if (payload !== undefined) waiting.push(payload)
      ended = true
      flushLater(answer)
    },
    cut() {
      waiting = []
      response.destroy()
    },
  }
}

function end(response: ServerResponse, last: Buffer | string | undefined): void {
  if (last === undefined) response.end()
  else if (typeof last === 'string' || last.length > JOINED_BYTES) response.end(last, 'latin1')
  else response.end(last.toString('latin1'), 'latin1')
  cutOffSlowReader(response)
}

/** Only while bytes wait for the client: a time-out on every socket would be a timer put back at every read and write. */
function cutOffSlowReader({ socket }: ServerResponse): void {
  if (socket && socket.writableLength > 0) socket.setTimeout(SLOW_READER_MS)
}
