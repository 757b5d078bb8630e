import { open, stat } from 'node:fs/promises'
import { z } from 'zod'
import { WeirError } from '../../contract/errors.ts'
import type { LogLine, LogPage } from '../../contract/logs.ts'
import { olderOf, type LogFile } from './log-files.ts'

export interface LogQuestion {
  /** The cursor of an earlier answer: what was written since. Without it the last lines there are. */
  readonly after?: string | undefined
  /** How many of the last lines of all of them together. */
  readonly lines?: number | undefined
}

/** Up to where a file was read; `older` tells whether it was begun anew since. */
type Position = readonly [offset: number, older: number]

const DEFAULT_LINES = 100
/** Of one file in one answer; the rest comes with the next. */
const MAX_READ_BYTES = 1024 * 1024
/** Of one file, where its last lines are looked for. */
const TAIL_BYTES = 256 * 1024
const NEWLINE = 10

const cursor = z.record(z.string(), z.tuple([z.int().min(0), z.number()]))

/** The last lines of these files, or those since an earlier answer, in the order in which they were written. */
export async function readLines(files: readonly LogFile[], question: LogQuestion = {}): Promise<LogPage> {
  const { after, lines = DEFAULT_LINES } = question
  const known = after === undefined ? {} : parseCursor(after)
  const read = await Promise.all(
    files.map(async file => {
      const { instance, path } = file
      const position = known[instance] ?? [0, await changedAt(olderOf(path))] // one that is new is read from its beginning
      return { ...(await (after === undefined ? readTail(path) : readOn(path, position))), instance }
    }),
  )
  const items = inOrder(read.map(({ instance, texts }) => texts.map(text => ({ instance, text }))))
  const positions = Object.fromEntries(read.map(({ instance, position }) => [instance, position]))
  return {
    items: after === undefined ? items.slice(-lines) : items,
    cursor: Buffer.from(JSON.stringify(positions)).toString('base64url'),
  }
}

function parseCursor(text: string): z.infer<typeof cursor> {
  try {
    return cursor.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
  } catch (cause) {
    throw new WeirError('bad_request', 'after must be the cursor of an earlier answer', { cause })
  }
}

interface ReadLines {
  readonly texts: readonly string[]
  readonly position: Position
}

async function readTail(path: string): Promise<ReadLines> {
  const older = await changedAt(olderOf(path))
  const before = older === 0 ? undefined : await readPart(olderOf(path), -TAIL_BYTES, TAIL_BYTES)
  const now = await readPart(path, -TAIL_BYTES, TAIL_BYTES)
  return { texts: [...(before?.texts ?? []), ...now.texts], position: [now.end, older] }
}

async function readOn(path: string, [offset, older]: Position): Promise<ReadLines> {
  const olderNow = await changedAt(olderOf(path))
  const rest = olderNow === older ? undefined : await readPart(olderOf(path), offset, Number.MAX_SAFE_INTEGER)
  const now = await readPart(path, rest === undefined ? offset : 0, MAX_READ_BYTES)
  // begun anew between the two looks: its rest is with what was set aside, at the next question
  if (now.size < (rest === undefined ? offset : 0)) return { texts: [], position: [offset, older] }
  return { texts: [...(rest?.texts ?? []), ...now.texts], position: [now.end, olderNow] }
}

interface Part {
  readonly texts: readonly string[]
  /** Where the last whole line ends. */
  readonly end: number
  readonly size: number
}

/** Whole lines from an offset on, or (below 0) of the end. */
async function readPart(path: string, from: number, mostBytes: number): Promise<Part> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined // it was just forgotten, or set aside for the first time
    throw error
  })
  if (file === undefined) return { texts: [], end: Math.max(0, from), size: 0 }
  try {
    const { size } = await file.stat()
    const start = from < 0 ? Math.max(0, size + from) : from
    const wanted = Math.max(0, Math.min(size - start, mostBytes))
    const { buffer, bytesRead } = await file.read(Buffer.alloc(wanted), 0, wanted, start)
    const whole = wholeLines(buffer.subarray(0, bytesRead), mostBytes)
    // a tail begins in the middle of a line, mostly
    const first = from < 0 && start > 0 ? buffer.indexOf(NEWLINE) + 1 : 0
    const text = buffer.toString('utf8', Math.min(first, whole), whole)
    return { texts: text === '' ? [] : text.replace(/\n$/, '').split('\n'), end: start + whole, size }
  } finally {
    await file.close()
  }
}

/** How many of the bytes are whole lines; of a line that fills all there is room for, all. */
function wholeLines(bytes: Buffer, mostBytes: number): number {
  const end = bytes.lastIndexOf(NEWLINE) + 1
  return end === 0 && bytes.length === mostBytes ? bytes.length : end
}

async function changedAt(path: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined // it never had to be begun anew
    throw error
  })
  return Math.trunc(found?.mtimeMs ?? 0)
}

/** By the time that a line tells; one that tells none belongs to the one before it of the same process. */
function inOrder(byFile: readonly (readonly LogLine[])[]): LogLine[] {
  const timed = byFile.flatMap(lines => {
    let time = 0
    return lines.map(line => {
      time = timeOf(line.text) ?? time
      return { line, time }
    })
  })
  return timed.toSorted((a, b) => a.time - b.time).map(({ line }) => line)
}

function timeOf(text: string): number | undefined {
  const [, time] = /^\{.*?"time":(\d{1,15})/.exec(text) ?? []
  return time === undefined ? undefined : Number(time)
}
