import { appendFile, open } from 'node:fs/promises'
import { z } from 'zod'
import { exitRecord, type ExitRecord } from '../../contract/exit-record.ts'
import type { SeenExit } from './facts.ts'

// Exits are kept where people look for them, in the deployment's log: the model server says there why it ends itself, and the
// runtime what it saw. So they outlive the controller.

/** Of a log that has grown much since the last look, or before the first, only the end is read. */
const MAX_READ_BYTES = 16 * 1024 * 1024
/** A deployment in a crash loop writes one a restart; older ones tell nothing new. */
const MAX_EXITS = 100

const line = z.looseObject({ time: z.number(), exit: exitRecord })

export interface ExitLog {
  /** All that are in the log and not older than `since`, oldest first. */
  exits(id: string, since: number): Promise<readonly SeenExit[]>
  append(id: string, exit: SeenExit): Promise<void>
}

export function createExitLog(fileOf: (id: string) => string): ExitLog {
  const read = new Map<string, { offset: number; exits: readonly SeenExit[] }>()
  return {
    async exits(id, since) {
      const known = read.get(id) ?? { offset: 0, exits: [] }
      const { text, offset } = await completeLines(fileOf(id), known.offset)
      // a log that has become shorter was begun anew: nothing of the old one counts
      const before = offset < known.offset ? [] : known.exits
      const exits = [...before, ...parseExits(text)].slice(-MAX_EXITS)
      read.set(id, { offset, exits })
      return exits.filter(({ at }) => at >= since)
    },
    async append(id, { at, ...exit }) {
      const message = { level: 50, time: at, name: 'runtime', msg: `the process ended: ${exit.reason}`, exit }
      await appendFile(fileOf(id), `${JSON.stringify(message)}\n`)
    },
  }
}

/** Everything else that versions write into their logs is no exit, whatever it looks like. */
export function parseExits(text: string): SeenExit[] {
  return text.split('\n').flatMap(entry => {
    if (!entry.includes('"exit":')) return []
    const parsed = line.safeParse(parseJson(entry))
    return parsed.success ? [{ ...parsed.data.exit, at: parsed.data.time }] : []
  })
}

/** The whole lines from `offset` on, and where they end. */
async function completeLines(path: string, offset: number): Promise<{ text: string; offset: number }> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined // it has never started
    throw error
  })
  if (file === undefined) return { text: '', offset: 0 }
  try {
    const { size } = await file.stat()
    const start = Math.max(size < offset ? 0 : offset, size - MAX_READ_BYTES)
    const wanted = size - start
    const { buffer, bytesRead } = await file.read(Buffer.alloc(wanted), 0, wanted, start)
    const end = buffer.lastIndexOf('\n', bytesRead - 1) + 1
    return { text: buffer.toString('utf8', 0, end), offset: start + end }
  } finally {
    await file.close()
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The model server's own word on why it ended says more than the code that it ended with. */
export function isToldAlready(exits: readonly ExitRecord[], pid: number): boolean {
  return exits.some(exit => exit.pid === pid)
}
