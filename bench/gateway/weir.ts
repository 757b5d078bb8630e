import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { systemPort, untilAnswering, writeConfig, type Bench } from './bench.ts'
import { PROXY_CORE } from './processes.ts'

export interface Weir {
  readonly name: string
  readonly url: string
  readonly operatorUrl: string
  readonly pid: number
}

interface WeirOptions {
  readonly name?: string
  readonly routes?: readonly unknown[]
  readonly workers?: number
  readonly cores?: string

  readonly startLimitMs?: number
}

const WEIR = fileURLToPath(new URL('../../gateway/main.ts', import.meta.url))

export async function startWeir(bench: Bench, options: WeirOptions = {}): Promise<Weir> {
  const { name = 'weir', routes = [everyFeature(bench.upstream)], workers = 1, cores = PROXY_CORE } = options
  const [port, operatorPort] = [await systemPort(), await systemPort()]
  const state = join(bench.dir, `state-${port}`)
  const config = writeConfig(bench, `gateway-${port}.yaml`, stringify({ routes }))
  const ports = ['--port', String(port), '--operator-port', String(operatorPort)]
  const args = [WEIR, '--config', config, '--state', state, '--workers', String(workers), ...ports]
  const pid = bench.processes.start(cores, process.execPath, args)
  const url = `http://127.0.0.1:${port}`
  const operatorUrl = `http://127.0.0.1:${operatorPort}`
  await untilAnswering(`${operatorUrl}/livez`, options.startLimitMs) // listens after the workers do
  return { name, url, operatorUrl, pid }
}

/** Metrics, sticky header, fallback armed, probes, the contract of predictions; comparison is off. */
export function everyFeature(upstream: string): Record<string, unknown> {
  return {
    name: 'food11',
    variants: { stable: { endpoints: [upstream] }, candidate: { endpoints: [upstream] } },
    weights: { stable: 90, candidate: 10 },
    sticky: { header: 'x-user-id' },
    fallback: { to: 'stable' },
    idempotent: true,
  }
}
