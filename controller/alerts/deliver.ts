import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Delivery, Outbox, Target } from './outbox.ts'
import { signatureHeaders } from './signature.ts'

export interface Address {
  readonly url: string
  readonly timeoutMs: number
}

/** How an attempt to deliver a message ended. */
export interface Settled {
  /** A receiver of alerts, or a webhook of a rollout. */
  readonly kind: 'receiver' | 'webhook'
  /** Its name. */
  readonly receiver: string
  readonly result: 'accepted' | 'refused' | 'given_up'
}

interface DelivererOptions {
  readonly outbox: Outbox
  /** Where a target is now; undefined when it is no more. */
  readonly addressOf: (target: Target) => Address | undefined
  readonly secret: string
  readonly onSettled: (settled: Settled) => void
  readonly clock: Clock
  readonly log: Log
}

const POLL_MS = 100
/** A rollout may have 20 of them, each with a minute to answer. Receivers are as many as the settings name. */
const MAX_WEBHOOKS_IN_FLIGHT = 64
const MAX_REASON_CHARACTERS = 200

/** Sends what waits in the outbox; one receiver that is slow or away delays its own messages alone. */
export function createDeliverer({ outbox, addressOf, secret, onSettled, clock, log }: DelivererOptions) {
  const inFlight = new Map<string, Promise<void>>()
  let webhooksInFlight = 0

  async function deliver(delivery: Delivery, stop: AbortSignal): Promise<void> {
    const address = addressOf(delivery.target)
    const problem = address ? await post(address, delivery, stop) : 'the receiver is not configured any more'
    if (stop.aborted && problem !== null) return // whether it arrived is not known: the next controller sends it again
    if (problem === null) {
      outbox.accepted(delivery)
      return onSettled({ ...receiverOf(delivery), result: 'accepted' })
    }
    const givenUp = outbox.refused(delivery, problem)
    onSettled({ ...receiverOf(delivery), result: givenUp ? 'given_up' : 'refused' })
    const about = { message: delivery.key, attempt: delivery.attempts + 1, reason: problem }
    log.warn(about, givenUp ? 'a message was given up' : 'a message was not taken, it is sent again')
  }

  /** Null when it was taken, otherwise why not. */
  async function post(address: Address, delivery: Delivery, stop: AbortSignal): Promise<string | null> {
    const { body, repeatMs, attempts } = delivery
    const id = repeatMs === null ? delivery.id : `${delivery.id}.${attempts}` // each time is a question of its own
    const signed = signatureHeaders({ id, timestampSeconds: Math.floor(clock.now() / 1000), body }, secret)
    const { origin } = new URL(address.url) // what follows it may be a secret
    try {
      const response = await fetch(address.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': 'weir', ...signed },
        body,
        redirect: 'error',
        signal: AbortSignal.any([stop, AbortSignal.timeout(address.timeoutMs)]),
      })
      if (response.ok) {
        await response.body?.cancel()
        return null
      }
      return `${origin} answered ${response.status} ${await beginningOf(response)}`.trim()
    } catch (error) {
      const timedOut = error instanceof DOMException && error.name === 'TimeoutError'
      return `${origin}: ${timedOut ? `no answer within ${address.timeoutMs} ms` : describeProblem(error)}`
    }
  }

  /** Begins with everything that is due and not yet on its way; resolves when that is settled. */
  async function deliverDue(stop: AbortSignal): Promise<void> {
    const free = outbox.due().filter(({ lane }) => !inFlight.has(lane))
    const isWebhook = ({ target }: Delivery) => target.kind !== 'receiver'
    const places = MAX_WEBHOOKS_IN_FLIGHT - webhooksInFlight
    const next = [...free.filter(one => !isWebhook(one)), ...free.filter(isWebhook).slice(0, places)]
    const begun = next.map(delivery => {
      const { lane } = delivery
      const counts = isWebhook(delivery) ? 1 : 0
      webhooksInFlight += counts
      const sent = deliver(delivery, stop).finally(() => {
        inFlight.delete(lane)
        webhooksInFlight -= counts
      })
      inFlight.set(lane, sent)
      return sent
    })
    await Promise.all(begun)
  }

  return {
    deliverDue,
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        deliverDue(signal).catch((error: unknown) => {
          log.error({ err: error }, 'the outbox failed, trying again')
        })
        await clock.sleep(POLL_MS, signal)
      }
      await Promise.allSettled(inFlight.values())
    },
  }
}

function receiverOf({ target, lane }: Delivery): Omit<Settled, 'result'> {
  if (target.kind === 'receiver') return { kind: 'receiver', receiver: target.name }
  return { kind: 'webhook', receiver: lane.replace(/^hook\/[^/]+\//, '') } // hook/ROLLOUT/NAME
}

async function beginningOf(response: Response): Promise<string> {
  for await (const chunk of response.body ?? []) {
    const text = new TextDecoder().decode(chunk) // leaving the loop cancels the rest
    return text.slice(0, MAX_REASON_CHARACTERS).split('\n')[0] ?? ''
  }
  return ''
}
