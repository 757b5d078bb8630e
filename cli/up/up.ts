import { existsSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { createGatewayClient } from '../../client/gateway.ts'
import { WeirError } from '../../contract/errors.ts'
import { writeFileAtomic } from '../../lib/atomic-file.ts'
import { readEnv } from '../../lib/env.ts'
import { freePort } from '../../lib/ports.ts'
import { superviseChild, type SupervisedChild } from './children.ts'
import { requireFreePorts } from './ports.ts'
import { seedConfig } from './seed-config.ts'
import { claimStateFolder } from './state-folder.ts'
import { showProgress } from './progress.ts'
import { welcome } from './welcome.ts'

export interface UpOptions {
  readonly host: string
  readonly port: string
  readonly operatorPort: string
  readonly controllerPort: string
  readonly firstServingPort: string
  readonly workers?: string
  readonly models: string
  readonly model: string
  readonly stable: string
  readonly candidate: string
  readonly state?: string
  readonly fresh: boolean
}

const say = (line: string) => void process.stdout.write(`${line}\n`)

/** Starts everything, shows how it comes up, and stays until Ctrl-C. Ports are tried before anything is touched. */
export async function startUp(options: UpOptions): Promise<void> {
  readEnv({ PROMETHEUS_URL: z.url({ protocol: /^https?$/ }).optional() }, process.env) // misspelt ones are refused here
  const ports = [options.port, options.operatorPort, options.controllerPort].map(portNumber)
  if (new Set(ports).size < ports.length)
    throw new WeirError('invalid_setting', 'the three ports must differ')
  await requireFreePorts(options.host, ports)
  const forModels = await servingPorts(options)
  const stateDir = resolve(options.state ?? process.env['WEIR_STATE'] ?? '.weir')
  await requireModel(options)
  await claimStateFolder(stateDir, { fresh: options.fresh })
  const configFile = join(stateDir, 'gateway.yaml')
  const isNew = !existsSync(configFile) // written last: a start that was killed before begins anew
  if (isNew) await writeFileAtomic(configFile, seedConfig({ route: options.model, servingPorts: forModels }))
  say(`weir: ${isNew ? 'beginning anew' : 'continuing'} in ${stateDir}`)
  const children = startChildren(options, stateDir, configFile)
  stopInOrder(children)
  const gateway = createGatewayClient({ baseUrl: operatorUrl(options) })
  const versions = await showProgress({ gateway, route: options.model, logDir: join(stateDir, 'logs'), say })
  const { policy } = await gateway.route(options.model)
  say(await welcome({ options, versions, weights: policy.weights }))
}

/** Where this machine reaches the operator API: an address for all interfaces is none to call. */
function operatorUrl({ host, operatorPort }: UpOptions): string {
  if (host === '0.0.0.0' || host === '::') return `http://127.0.0.1:${operatorPort}`
  return `http://${host.includes(':') ? `[${host}]` : host}:${operatorPort}`
}

function portNumber(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new WeirError('invalid_setting', `"${text}" is no port`)
}

async function requireModel({ models, model, stable, candidate }: UpOptions): Promise<void> {
  for (const version of [stable, candidate]) {
    const manifest = join(models, model, version, 'model.json')
    await access(manifest).catch((cause: unknown) => {
      throw new WeirError(
        'version_not_found',
        `no version ${version} of ${model}: ${manifest} cannot be read`,
        { cause },
      )
    })
  }
}

async function servingPorts({ firstServingPort }: UpOptions): Promise<[number, number]> {
  const first = portNumber(firstServingPort)
  const stable = await freePort('127.0.0.1', first)
  return [stable, await freePort('127.0.0.1', stable + 1)]
}

function startChildren(options: UpOptions, stateDir: string, configFile: string): SupervisedChild[] {
  const { host, port, operatorPort, controllerPort, model, stable, candidate } = options
  const common = { onRestart: say, onGiveUp: giveUp }
  const owner = ['--state', stateDir, '--owner-pid', String(process.pid)]
  const log = (name: string) => join(stateDir, 'logs', `${name}.log`)
  const gatewayArgs = [
    '--config',
    configFile,
    '--port',
    port,
    '--operator-port',
    operatorPort,
    '--host',
    host,
  ]
  gatewayArgs.push(
    '--operator-host',
    host,
    ...(options.workers === undefined ? [] : ['--workers', options.workers]),
  )
  const controllerArgs = [
    '--port',
    controllerPort,
    '--host',
    host,
    '--gateway',
    `http://127.0.0.1:${operatorPort}`,
  ]
  controllerArgs.push('--models', resolve(options.models), '--first-serving-port', options.firstServingPort)
  controllerArgs.push('--seed', `${model}=${model}:${stable},${candidate}`)
  return [
    superviseChild({
      name: 'gateway',
      program: 'gateway/main.ts',
      args: [...gatewayArgs, ...owner],
      logFile: log('gateway'),
      ...common,
    }),
    superviseChild({
      name: 'controller',
      program: 'controller/main.ts',
      args: [...controllerArgs, ...owner],
      logFile: log('controller'),
      ...common,
    }),
  ]

  function giveUp(message: string): void {
    process.stderr.write(`weir: ${message}; giving up\n`)
    process.kill(process.pid, 'SIGTERM')
    process.exitCode = 1
  }
}

/** Clients first: the gateway drains while the model servers still answer, then the controller takes those down. */
function stopInOrder(children: readonly SupervisedChild[]): void {
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    say('\nweir: stopping')
    for (const child of children) await child.stop()
    say('weir: stopped')
    process.exit(process.exitCode ?? 0)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop())
}
