import type { IncomingMessage } from 'node:http'
import type { Log } from '../../lib/log.ts'
import type { ClientFacts } from './client-address.ts'
import type { Route } from './policy.ts'

export interface AccessEntry {
  readonly request: IncomingMessage
  readonly requestId: string
  readonly status: number
  readonly answeredBy: string | undefined
  /** On the clock of performance.now(). */
  readonly startedAt: number
  readonly client: ClientFacts
}

/** One line for each request of a sample, on routes that ask for it; nothing by default. */
export interface AccessLog {
  write(route: Route, entry: AccessEntry): void
}

export function createAccessLog(log: Log, random: () => number = Math.random): AccessLog {
  return {
    write(route, { request, requestId, status, answeredBy, startedAt, client }) {
      const { samplePercent } = route.policy.accessLog
      if (samplePercent === 0 || random() * 100 >= samplePercent) return
      log.info(
        {
          request_id: requestId,
          route: route.name,
          policy_version: route.version,
          variant: answeredBy,
          method: request.method,
          path: request.url,
          status,
          ms: Math.round((performance.now() - startedAt) * 10) / 10,
          client: client.clientAddress,
        },
        'request',
      )
    },
  }
}
