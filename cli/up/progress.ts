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
const TELL_AFTER_MS = 10_000

/**
 * Tells how the parts come up, one line each as it happens. Resolves when the gateway calls itself ready, with the version
 * that answers behind each variant.
 */
export async function showProgress({
  gateway,
  route,
  logDir,
  say,
}: ProgressOptions): Promise<Readonly<Record<string, string>>> {
  const versions: Record<string, string> = {}
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
      const { version, text } = await readiness(endpoint)
      if (version !== undefined) {
        versions[variant] = version
        tellOnce(variant, `  ${variant.padEnd(10)} ${text}, ready after ${elapsed()}`)
      } else if (Date.now() - since > TELL_AFTER_MS)
        tellOnce(`${variant}: ${text}`, `  ${variant.padEnd(10)} not ready yet: ${text}`)
    }
    if (Object.keys(versions).length > 0 && (await gateway.readyz().catch(() => false))) return versions
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

async function readiness(baseUrl: string): Promise<{ version?: string; text: string }> {
  const client = createServingClient({ baseUrl })
  const answer = await client.ready()
  if (answer.state !== 'ready') return { text: answer.reason }
  const { model, model_version } = await client.version()
  return { version: model_version, text: `${model} version ${model_version} at ${baseUrl}` }
}
