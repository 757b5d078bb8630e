import { parseArgs } from 'node:util'
import { z } from 'zod'
import { environmentPlaces } from '../contract/environment.ts'

const NO_PORT = 'must be a port, 0 to 65535'
const port = z.coerce.number(NO_PORT).int(NO_PORT).min(0, NO_PORT).max(65_535, NO_PORT)
const NO_URL = 'must be an address such as http://127.0.0.1:8081'

/** The command line of a controller, with its defaults. */
const settings = z.object({
  /** 0: any free one. */
  port: port.default(8090),
  host: z.string().default('127.0.0.1'),
  gateway: z.url({ protocol: /^https?$/, error: NO_URL }).default('http://127.0.0.1:8081'),
  models: z.string().default('models'),
  state: z.string().optional(),
  'first-serving-port': port.min(1, NO_PORT).default(9101),
  /** ROUTE=MODEL:STABLE,CANDIDATE: the versions to run behind a route's endpoints when nothing runs yet. */
  seed: z.string().optional(),
  /** ROUTE=MODEL:PRODUCTION,STAGING,CANARY: the ports of the environments of a route; without it there are none. */
  environments: environmentPlaces.optional(),
  /** Where this controller reaches the gateway's listeners. */
  'gateway-host': z.string().default('127.0.0.1'),
  'owner-pid': z.coerce.number('must be a process id').int().positive().optional(),
  /** In place of WEIR_ALERTS. */
  alerts: z.string().optional(),
})

/** Throws, naming every option that is wrong or unknown. */
export function readOptions(args: readonly string[]): z.infer<typeof settings> {
  const names = Object.keys(settings.shape)
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(names.map(name => [name, { type: 'string' as const }])),
    strict: true,
  })
  const parsed = settings.safeParse(values)
  if (parsed.success) return parsed.data
  throw new Error(parsed.error.issues.map(({ path, message }) => `--${path.join('.')} ${message}`).join('; '))
}
