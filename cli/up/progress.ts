import type { GatewayClient } from '../../client/gateway.ts'
import { createServingClient } from '../../client/serving.ts'
import { WeirError } from '../../contract/errors.ts'

interface ProgressOptions {
  readonly gateway: GatewayClient
  readonly route: string
  readonly logDir: string
  readonly say: (line: string) => void
}

const LIMIT_MS = 120_000
const LOOK_EVERY_MS = 100
/** A cause for not being ready that has not changed for this long is worth telling. */
const TELL_AFTER_MS = 5000

/** Tells how the parts come up, one line each as it happens, and resolves when the gateway calls itself ready. */
export async function showProgress({ gateway, route, logDir, say }: ProgressOptions): Promise<void> {
  const since = Date.now()
  const elapsed = () => `${((Date.now() - since) / 1000).toFixed(1)} s`
  const told = new Set<string>()
  const tellOnce = (key: string, line: string) => {
    if (told.has(key)) return
    told.add(key)
    say(line)
  }
  say('  gateway and controller starting; loading models …')
  while (Date.now() - since < LIMIT_MS) {
    const endpoints = await variantEndpoints(gateway, route)
    if (endpoints) tellOnce('gateway', `  gateway    up after ${elapsed()}`)
    for (const [variant, endpoint] of endpoints ?? []) {
      const { ready, text } = await readiness(endpoint)
      if (ready) tellOnce(variant, `  ${variant.padEnd(10)} ${text}, ready after ${elapsed()}`)
      else if (Date.now() - since > TELL_AFTER_MS)
        tellOnce(`${variant}: ${text}`, `  ${variant.padEnd(10)} not ready yet: ${text}`)
    }
    if (await gateway.readyz().catch(() => false)) return
    await new Promise(resolve => setTimeout(resolve, LOOK_EVERY_MS))
  }
  throw new WeirError('not_ready', `not ready after ${LIMIT_MS / 1000} s; the logs are in ${logDir}`)
}

async function variantEndpoints(
  gateway: GatewayClient,
  route: string,
): Promise<[string, string][] | undefined> {
  const found = await gateway.route(route).catch(() => undefined) // not up yet; the next look is near
  if (!found) return undefined
  return Object.entries(found.policy.variants).flatMap(([variant, { endpoints }]) =>
    endpoints.map((endpoint): [string, string] => [variant, endpoint]),
  )
}

async function readiness(baseUrl: string): Promise<{ ready: boolean; text: string }> {
  const client = createServingClient({ baseUrl })
  const answer = await client.ready()
  if (answer.state !== 'ready') return { ready: false, text: answer.reason }
  const { model, model_version } = await client.version()
  return { ready: true, text: `${model} version ${model_version} at ${baseUrl}` }
}
