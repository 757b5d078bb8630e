import { pino, type Logger } from 'pino'

export type Log = Logger

/** JSON lines on standard output, written without blocking the event loop (pino `sync: false`). */
export function createLog(name: string, level = 'info'): Log {
  return pino({ name, level, base: { name, pid: process.pid } }, pino.destination({ dest: 1, sync: false }))
}
