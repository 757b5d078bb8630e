import { WeirError } from '../../contract/errors.ts'
import { freePort, tryPort } from '../../lib/ports.ts'

/** Where everything that clients, operators and testers reach listens. */
export interface UpPorts {
  readonly public: number
  readonly operator: number
  readonly controller: number
  readonly staging: number
  readonly canary: number
}

export interface PortOptions {
  readonly host: string
  readonly port: string
  readonly operatorPort: string
  readonly controllerPort: string
  /** Absent or 0: the first free one after the public port and its neighbour. */
  readonly stagingPort?: string
  readonly canaryPort?: string
}

/** Throws `invalid_setting` for what is no port or named twice, and the system's own error for one that is taken. */
export async function choosePorts(options: PortOptions): Promise<UpPorts> {
  const { host } = options
  const named = {
    public: portNumber(options.port),
    operator: portNumber(options.operatorPort),
    controller: portNumber(options.controllerPort),
    ...nameable('staging', options.stagingPort),
    ...nameable('canary', options.canaryPort),
  }
  const numbers = Object.values(named)
  if (new Set(numbers).size < numbers.length) throw new WeirError('invalid_setting', 'the ports must differ')
  for (const port of numbers) {
    const error = await tryPort(host, port)
    if (error) throw error
  }
  const chosen = new Set(numbers)
  const choose = async () => {
    const port = await freePort(host, named.public + 2, chosen)
    chosen.add(port)
    return port
  }
  const staging = named.staging ?? (await choose())
  return { ...named, staging, canary: named.canary ?? (await choose()) }
}

function nameable(name: 'staging' | 'canary', text: string | undefined): Partial<UpPorts> {
  return text === undefined || text === '0' ? {} : { [name]: portNumber(text) }
}

export function portNumber(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new WeirError('invalid_setting', `"${text}" is no port`)
}
