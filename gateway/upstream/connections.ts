import { Connection, type AnswerHandler, type Call, type ConnectionOwner } from './connection.ts'
import type { UploadRequest } from './upload.ts'

/** The connections to one endpoint: as many as there are requests under way, kept for a while afterwards. */
export interface Connections {
  send(request: UploadRequest, handler: AnswerHandler): Call
  /** Closes idle connections now and the others after their answer. */
  close(): void
}

export interface ConnectionsOptions {
  readonly connectTimeoutMs: number
  readonly now?: () => number
}

/** Below the 5 s after which Node's servers close idle connections, so that reuse rarely meets a closing one. */
const KEEP_IDLE_MS = 4000
/** A connection is given up this long before its server says it will. */
const CLOSE_EARLY_MS = 1000

interface Idle {
  readonly connection: Connection
  readonly until: number
}

export function createConnections(endpoint: string, options: ConnectionsOptions): Connections {
  const { connectTimeoutMs, now = () => performance.now() } = options
  const origin = new URL(endpoint)
  let idle: Idle[] = []
  let sweep: NodeJS.Timeout | undefined
  let closed = false

  const owner: ConnectionOwner = {
    onIdle(connection, idleMs = Infinity) {
      const keepMs = Math.min(KEEP_IDLE_MS, idleMs - CLOSE_EARLY_MS)
      if (closed || keepMs <= 0) return connection.destroy()
      idle.push({ connection, until: now() + keepMs })
      sweep ??= setTimeout(closeOld, KEEP_IDLE_MS).unref()
    },
    onClosed(_, failure) {
      if (failure?.reusedConnection) closeIdle() // the server went away: the retry must not meet another dead one
    },
  }

  /** The one used last, so that those there are too many of grow old. */
  function takeIdle(): Connection | undefined {
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      if (last.connection.usable && last.until > now()) return last.connection
      last.connection.destroy()
    }
    return undefined
  }

  function closeOld(): void {
    const at = now()
    for (const { connection, until } of idle) if (until <= at) connection.destroy()
    idle = idle.filter(({ connection }) => connection.usable)
    sweep = idle.length > 0 ? setTimeout(closeOld, KEEP_IDLE_MS).unref() : undefined
  }

  function closeIdle(): void {
    for (const { connection } of idle.splice(0)) connection.destroy()
  }

  return {
    send(request, handler) {
      const connection = takeIdle() ?? new Connection(origin, connectTimeoutMs, owner)
      return connection.start(request, handler)
    },
    close() {
      closed = true
      clearTimeout(sweep)
      closeIdle()
    },
  }
}
