import type { ServerResponse } from 'node:http'
import { atTurnEnd } from '../upstream/turn.ts'
import type { Answer } from './answer.ts'
import { sendAnswerHead, type AnswerMarks } from './respond.ts'

/** The way of one answer to the client, no faster than the client reads. */
export interface Delivery {
  begin(answer: Answer, contentLength: number | undefined, marks: AnswerMarks): void
  write(answer: Answer, chunk: Buffer): void
  end(payload?: Buffer): void
  /** Cuts the answer short so that the client notices. */
  cut(): void
}

/** A short answer goes out as a string of bytes: Node then joins it with the head into one write, not a gathered one. */
const JOINED_BYTES = 4096

export function createDelivery(response: ServerResponse): Delivery {
  // The last chunk is kept back until the parser has returned: an answer that is complete by then leaves in one write.
  let tail: Buffer | undefined
  let paused = false
  let begun = false
  let ended = false

  function send(answer: Answer, chunk: Buffer): void {
    if (response.write(chunk) || paused) return
    paused = true
    answer.attempt?.pause()
    response.once('drain', () => {
      paused = false
      answer.attempt?.resume()
    })
  }

  /** What the parser had to give is here. A slow body must not hold back its head, nor a slow end its beginning. */
  function afterParsing(answer: Answer): void {
    begun = true
    if (ended) return
    const last = tail
    tail = undefined
    if (last === undefined) response.flushHeaders()
    else send(answer, last)
  }

  return {
    begin(answer, contentLength, marks) {
      if (answer.head) sendAnswerHead(response, answer.head, contentLength, marks)
      process.nextTick(afterParsing, answer)
    },
    write(answer, chunk) {
      const before = tail
      tail = chunk
      if (before !== undefined) return send(answer, before)
      if (begun) process.nextTick(afterParsing, answer)
    },
    end(payload = tail) {
      tail = undefined
      ended = true
      atTurnEnd(() => {
        if (payload === undefined || payload.length > JOINED_BYTES) response.end(payload)
        else response.end(payload.toString('latin1'), 'latin1')
      })
    },
    cut() {
      tail = undefined
      response.destroy()
    },
  }
}
