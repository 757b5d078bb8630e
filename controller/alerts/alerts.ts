import { randomUUID } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { Store } from '../store.ts'
import type { Receiver } from './config.ts'
import { bodyFor, FIRING_FOR_MS, type Notice, type Severity } from './notice.ts'
import type { Outbox } from './outbox.ts'

/** What is wrong, as whoever found it says it. */
export interface Finding {
  readonly alert: string
  readonly severity: Severity
  readonly labels: Readonly<Record<string, string>>
  readonly summary: string
}

export interface Alert extends Finding {
  readonly id: string
  readonly key: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly endedAt: number | null
}

interface AlertsOptions {
  readonly store: Store
  readonly outbox: Outbox
  readonly audit: Audit
  readonly receivers: readonly Receiver[]
  readonly clock: Clock
  readonly log: Log
}

export type Alerts = ReturnType<typeof createAlerts>

const DAY_MS = 24 * 3_600_000
/** Alertmanager forgets with a restart what it is not told again. */
const REMIND_MS = 5 * 60_000

/**
 * Alerts that stand and their way to the receivers. Each is raised once and resolved once, also over restarts. Call `raise`,
 * `resolve` and `tell` inside the transaction that persists what they are about.
 */
export function createAlerts({ store, outbox, audit, receivers, clock, log }: AlertsOptions) {
  const { db } = store
  const insert = db.prepare('INSERT INTO alerts (id, key, alert, started_at) VALUES (?, ?, ?, ?)')
  const end = db.prepare('UPDATE alerts SET ended_at = ? WHERE id = ?')
  const byKey = db.prepare('SELECT * FROM alerts WHERE key = ? AND ended_at IS NULL')
  const firing = db.prepare('SELECT * FROM alerts WHERE ended_at IS NULL ORDER BY started_at')
  const latest = db.prepare('SELECT * FROM alerts ORDER BY ended_at IS NOT NULL, started_at DESC LIMIT ?')

  function find(key: string): Alert | undefined {
    const row = byKey.get(key)
    return row && toAlert(row)
  }

  function send(notice: Notice): void {
    const to = receivers.map(receiver => ({ receiver, keepTryingMs: DAY_MS, occasion: notice.status }))
    for (const one of to) sendTo({ ...one, notice })
  }

  function sendTo({ receiver, notice, occasion, keepTryingMs }: Sending): void {
    const body = bodyFor(receiver, notice)
    if (body === undefined) return
    const target = { kind: 'receiver', name: receiver.name } as const
    const key = `alert/${notice.id}/${occasion}/${receiver.name}`
    outbox.tell({ key, lane: `receiver/${receiver.name}`, target, body, keepTryingMs })
  }

  function record(action: string, { labels, alert, summary }: Finding): void {
    const subject = labels['rollout'] ?? labels['route'] ?? alert
    const at = new Date(clock.now()).toISOString()
    audit.append({ at, actor: 'controller', action, subject, reason: `${alert}: ${summary}` })
  }

  /** Tells Alertmanager again what stands. */
  function remind(): void {
    const now = clock.now()
    const about = { occasion: `reminder-${Math.floor(now / REMIND_MS)}`, keepTryingMs: REMIND_MS }
    for (const alert of firing.all().map(toAlert)) {
      if (now - alert.startedAt < REMIND_MS) continue
      const notice = { ...noticeOf(alert, null), endsAt: now + FIRING_FOR_MS }
      for (const receiver of receivers) if (receiver.alertmanager) sendTo({ receiver, notice, ...about })
    }
  }

  return {
    /** Does nothing while an alert with this key stands. */
    raise(key: string, finding: Finding): void {
      if (find(key)) return
      const alert = { ...finding, id: randomUUID(), key, startedAt: clock.now(), endedAt: null }
      insert.run(alert.id, key, JSON.stringify(finding), alert.startedAt)
      record('alert-raised', finding)
      send(noticeOf(alert, null))
    },
    /** Does nothing when no alert with this key stands. */
    resolve(key: string, summary: string): void {
      const alert = find(key)
      if (!alert) return
      const now = clock.now()
      end.run(now, alert.id)
      const resolved = { ...alert, summary }
      record('alert-resolved', resolved)
      send(noticeOf(resolved, now))
    },
    /** An event of which somebody should hear once; it ends by itself. */
    tell(finding: Finding): void {
      const startsAt = clock.now()
      send({ ...pick(finding), id: randomUUID(), status: 'event', startsAt, endsAt: startsAt + EVENT_MS })
    },
    isFiring: (key: string) => find(key) !== undefined,
    firing: (): Alert[] => firing.all().map(toAlert),
    /** Those that stand first, then the newest. */
    list: (limit = 200): Alert[] => latest.all(limit).map(toAlert),
    remind,
    /** Reminds, until `signal` aborts. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        try {
          store.transaction(remind)
        } catch (error) {
          log.warn({ reason: describeProblem(error) }, 'Alertmanager could not be reminded, trying again')
        }
        await clock.sleep(REMIND_MS / 5, signal)
      }
    },
  }
}

/** As the API shows it. Times are ISO 8601 (UTC). */
export function alertView({ id, alert, severity, labels, summary, startedAt, endedAt }: Alert) {
  return {
    id,
    alert,
    status: endedAt === null ? 'firing' : 'resolved',
    severity,
    labels,
    summary,
    startsAt: new Date(startedAt).toISOString(),
    endsAt: endedAt === null ? null : new Date(endedAt).toISOString(),
  }
}

interface Sending {
  readonly receiver: Receiver
  readonly notice: Notice
  /** What tells this message to the receiver about the same notice from the others. */
  readonly occasion: string
  readonly keepTryingMs: number
}

/** Alertmanager shows an event as an alert for this long. */
const EVENT_MS = 3_600_000

function noticeOf(alert: Alert, endsAt: number | null): Notice {
  const status = endsAt === null ? 'firing' : 'resolved'
  return { ...pick(alert), id: alert.id, status, startsAt: alert.startedAt, endsAt }
}

function pick({ alert, severity, labels, summary }: Finding): Finding {
  return { alert, severity, labels, summary }
}

function toAlert(row: Record<string, unknown>): Alert {
  return {
    ...(JSON.parse(String(row['alert'])) as Finding),
    id: String(row['id']),
    key: String(row['key']),
    startedAt: Number(row['started_at']),
    endedAt: row['ended_at'] === null ? null : Number(row['ended_at']),
  }
}
