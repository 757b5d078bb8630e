import type { Test } from 'tap'
import type { Control } from './control.ts'
import { startReceiver } from './receiver.ts'

export const FAILING = {
  alert: 'WeirStableFailing',
  severity: 'critical',
  labels: { route: 'food11' },
  summary: '9 % of 200 requests <failed> & more',
} as const
const KEY = 'stable/food11/failing'
export const T0 = '2025-06-15T15:06:40.000Z'

export async function startReceivers(t: Test) {
  const [slack, webhook, alertmanager] = [
    await startReceiver(t),
    await startReceiver(t),
    await startReceiver(t),
  ]
  const yaml = `
receivers:
  - { name: team, slack: { url: "${slack.url}/services/T0/B0/secret" } }
  - { name: pager, webhook: { url: "${webhook.url}/weir" } }
  - { name: am, alertmanager: { url: "${alertmanager.url}/prefix/" }, timeout: 3s }
`
  return { slack, webhook, alertmanager, yaml }
}

export function raise(control: Control): void {
  control.store.transaction(() => control.alerts.raise(KEY, FAILING))
}

export function resolve(control: Control): void {
  control.store.transaction(() => control.alerts.resolve(KEY, 'it is well again'))
}

/** What waits, and what waits behind it. */
export async function deliverAll(control: Control): Promise<void> {
  for (let n = 0; n < 10; n++) await control.deliver()
}
