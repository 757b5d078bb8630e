import { appendFile, open, stat } from 'node:fs/promises'
import { z } from 'zod'
import { exitRecord, type ExitRecord } from '../../contract/exit-record.ts'
import type { SeenExit } from './facts.ts'
import { olderOf } from './log-files.ts'

// Exits are kept where people look for them, in the process's log: the model server says there why it ends itself, and the
// runtime what it saw. So they outlive the controller.

/** Of a log that has grown much since the last look, or before the first, only the end is read. */
const MAX_READ_BYTES = 16 * 1024 * 1024
/** A process in a crash loop writes one a restart; older ones tell nothing new. */
const MAX_EXITS = 100

const line = z.looseObject({ time: z.number(), exit: exitRecord })

export interface ExitLog {
  /** All that are in the log and not older than `since`, oldest first. */
  exits(path: string, since: number): Promise<readonly SeenExit[]>
  append(path: string, exit: SeenExit): Promise<void>
}

export function createExitLog(): ExitLog {
  const read = new Map<string, { offset: number; exits: readonly SeenExit[] }>()

  /** Of a log that was begun anew, and of one that is looked at for the first time, also what was set aside of it. */
  async function before(path: string, known: { offset: number; exits: readonly SeenExit[] } | undefined) {
    if (known !== undefined && known.offset <= (await sizeOf(path))) return known
    const { text } = await completeLines(olderOf(path), 0)
    return { offset: 0, exits: parseExits(text) }
  }

  return {
    async exits(path, since) {
      const known = await before(path, read.get(path))
      const { text, offset } = await completeLines(path, known.offset)
      const exits = [...known.exits, ...parseExits(text)].slice(-MAX_EXITS)
      read.set(path, { offset, exits })
      return exits.filter(({ at }) => at >= since)
    },
    async append(path, { at, ...exit }) {
      const message = { level: 50, time: at, name: 'runtime', msg: `the process ended: ${exit.reason}`, exit }
      await appendFile(path, `${JSON.stringify(message)}\n`)
    },
  }
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined // it has never started
    throw error
  })
  return found?.size ?? 0
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
