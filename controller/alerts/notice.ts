import type { Receiver } from './config.ts'

export type Severity = 'info' | 'warning' | 'critical'

/** Something that people should know. An alert is told when it is raised and when it is resolved; an event once. */
export interface Notice {
  readonly id: string
  readonly status: 'firing' | 'resolved' | 'event'
  /** Such as WeirStableFailing. */
  readonly alert: string
  readonly severity: Severity
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
  /** Milliseconds since the epoch. */
  readonly startsAt: number
  readonly endsAt: number | null
}

/** Without hearing of it again Alertmanager takes a firing alert for resolved after this time: a controller that is gone for good must not leave it firing. */
export const FIRING_FOR_MS = 3_600_000

/** What a receiver is sent; undefined where it is none of its business. */
export function bodyFor(receiver: Receiver, notice: Notice): unknown {
  if (receiver.slack) return slackBody(notice)
  if (receiver.webhook) return webhookBody(notice)
  return isSomethingToDo(notice) ? alertmanagerBody(notice) : undefined
}

export function addressFor({ slack, webhook, alertmanager, timeout: timeoutMs }: Receiver) {
  const plain = slack ?? webhook
  if (plain) return { url: plain.url, timeoutMs }
  return { url: `${alertmanager?.url.replace(/\/$/, '')}/api/v2/alerts`, timeoutMs }
}

const HEADINGS = { firing: 'FIRING', resolved: 'RESOLVED', event: 'INFO' } as const

/** https://docs.slack.dev/messaging/formatting-message-text#escaping */
function slackBody({ status, severity, summary, labels, alert }: Notice): unknown {
  const heading = status === 'event' && severity !== 'info' ? severity.toUpperCase() : HEADINGS[status]
  const about = Object.entries(labels).map(([label, value]) => `${label}=${value}`)
  const text = `[${heading}] ${alert}: ${summary} (${about.join(', ')})`
  return { text: text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;') }
}

function webhookBody({ startsAt, endsAt, ...rest }: Notice): unknown {
  return { ...rest, startsAt: toIso(startsAt), endsAt: endsAt === null ? null : toIso(endsAt) }
}

function isSomethingToDo({ status, severity }: Notice): boolean {
  return status !== 'event' || severity !== 'info'
}

/** https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml: POST /alerts */
function alertmanagerBody({ alert, severity, labels, summary, startsAt, endsAt }: Notice): unknown {
  return [
    {
      labels: { alertname: alert, severity, ...labels },
      annotations: { summary },
      startsAt: toIso(startsAt),
      endsAt: toIso(endsAt ?? startsAt + FIRING_FOR_MS),
    },
  ]
}

function toIso(ms: number): string {
  return new Date(ms).toISOString()
}
