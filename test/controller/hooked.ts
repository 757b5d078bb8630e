import type { Test } from 'tap'
import type { HookPayload } from '../../contract/webhook.ts'
import { pass, rolloutOf, startControl, startWorld, type Control, type World } from './control.ts'
import { startReceiver, type Received } from './receiver.ts'

const STEPS = [{ setWeight: 10 }, { setWeight: 50 }, { approval: {} }]

export function rolloutWith(webhooks: readonly object[], spec: object = {}): object {
  const analysis = { interval: '1s', settle: '2s', webhooks }
  return rolloutOf({ strategy: { canary: { steps: STEPS } }, analysis, ...spec })
}

/** Seconds with traffic, and the outbox emptied after each look. */
export async function live(
  world: World,
  control: Control,
  { name, seconds }: { name: string; seconds: number },
) {
  for (let second = 0; second < seconds; second++) {
    await pass(world, control, { name, seconds: 1, requestsPerSecond: 20 })
    await control.deliver()
  }
}

export function payloadOf({ body }: Received): HookPayload {
  return body as HookPayload
}

export async function begin(t: Test, webhooks: (url: string) => readonly object[], spec: object = {}) {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const receiver = await startReceiver(t)
  const { name } = await control.client.startRollout(rolloutWith(webhooks(receiver.url), spec))
  return { world, control, receiver, name }
}
