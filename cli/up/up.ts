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
import { choosePorts, portNumber, type PortOptions, type UpPorts } from './ports.ts'
import { seedConfig } from './seed-config.ts'
import { claimStateFolder } from './state-folder.ts'
import { showProgress } from './progress.ts'
import { welcome } from './welcome.ts'

export interface UpOptions extends PortOptions {
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
  const ports = await choosePorts(options)
  const forModels = await servingPorts(options, ports)
  const stateDir = resolve(options.state ?? process.env['WEIR_STATE'] ?? '.weir')
  if (!process.env['MLFLOW_TRACKING_URI']) await requireModel(options) // versions are there otherwise, which the controller tells
  await claimStateFolder(stateDir, { fresh: options.fresh })
  const configFile = join(stateDir, 'gateway.yaml')
  const isNew = !existsSync(configFile) // written last: a start that was killed before begins anew
  const seed = seedConfig({ route: options.model, servingPorts: forModels, ports })
  if (isNew) await writeFileAtomic(configFile, seed)
  say(`weir: ${isNew ? 'beginning anew' : 'continuing'} in ${stateDir}`)
  const children = startChildren({ options, ports, stateDir, configFile })
  stopInOrder(children)
  const gateway = createGatewayClient({ baseUrl: operatorUrl(options) })
  const versions = await showProgress({ gateway, route: options.model, logDir: join(stateDir, 'logs'), say })
  for (const child of children) child.keepTrying()
  const { policy } = await gateway.route(options.model)
  say(await welcome({ options, versions, weights: policy.weights }))
}

/** Where this machine reaches what listens on `host`: an address for all interfaces is none to call. */
function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}

function operatorUrl({ host, operatorPort }: UpOptions): string {
  const name = reachable(host)
  return `http://${name.includes(':') ? `[${name}]` : name}:${operatorPort}`
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

async function servingPorts({ firstServingPort }: UpOptions, ports: UpPorts): Promise<[number, number]> {
  const first = portNumber(firstServingPort)
  const taken = new Set(Object.values(ports))
  const stable = await freePort('127.0.0.1', first, taken)
  return [stable, await freePort('127.0.0.1', stable + 1, taken)]
}

interface ChildrenOptions {
  readonly options: UpOptions
  readonly ports: UpPorts
  readonly stateDir: string
  readonly configFile: string
}

function startChildren({ options, ports, stateDir, configFile }: ChildrenOptions): SupervisedChild[] {
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
  controllerArgs.push('--seed', `${model}=${model}:${stable},${candidate}`, '--gateway-host', reachable(host))
  const where = [ports.public, ports.staging, ports.canary].join(',')
  controllerArgs.push('--environments', `${model}=${model}:${where}`)
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
