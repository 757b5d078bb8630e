import type { Command } from 'commander'
import {
  ENVIRONMENTS,
  SOURCES,
  type EnvironmentName,
  type EnvironmentView,
  type Source,
} from '../../contract/environment.ts'
import { WeirError } from '../../contract/errors.ts'
import {
  connectController,
  print,
  printJson,
  withConnection,
  withPerson,
  type ConnectOptions,
} from '../connect.ts'
import { patiently } from '../patiently.ts'
import { describeEnvironments, environmentLine, gateLine, gatesLine } from '../render/environment.ts'

interface PromoteOptions extends ConnectOptions {
  readonly from: string
  readonly to: string
  readonly version: string
  readonly force: boolean
  readonly reason?: string
  readonly wait: boolean
}

interface GatesOptions extends ConnectOptions {
  readonly version?: string
  readonly reason?: string
  readonly wait: boolean
}

interface RollbackOptions extends ConnectOptions {
  readonly reason?: string
  readonly wait: boolean
}

const FOLLOW_EVERY_MS = 200

export function addEnv(program: Command): void {
  const env = program.command('env').description('staging, canary and production: what runs where')
  withConnection(env.command('list'))
    .description('version, digest, health, address and history of each')
    .action(async (options: ConnectOptions) => {
      const items = await connectController(options).environments()
      if (options.json) return printJson({ items })
      print(describeEnvironments(items))
    })
  withPerson(withConnection(env.command('promote')))
    .description('take a version from one environment to a later one')
    .requiredOption('--from <env>', `where it was proven: ${SOURCES.join(', ')} (development: registered)`)
    .requiredOption('--to <env>', `where it is to run: ${ENVIRONMENTS.join(', ')}`)
    .requiredOption('--version <version>', 'which version')
    .option('--force', 'although it does not run there or has not passed its gates; needs --reason', false)
    .option('--reason <text>', 'recorded in the audit')
    .option('--no-wait', 'return as soon as it has begun')
    .action(promote)
  withConnection(env.command('gates <env>'))
    .description('run the gates on exactly the version that an environment runs, so that it may be promoted')
    .option('--version <version>', 'only if it runs this version')
    .option('--reason <text>', 'recorded in the audit')
    .option('--no-wait', 'return as soon as they have begun')
    .action(gates)
  withPerson(withConnection(env.command('rollback <env>')))
    .description('return to the version that was seen good before, at once while it is kept warm')
    .option('--reason <text>', 'recorded in the audit')
    .option('--no-wait', 'return as soon as it has begun')
    .action(rollback)
}

async function promote(options: PromoteOptions): Promise<void> {
  const { version, force, reason } = options
  const to = oneOf<EnvironmentName>(ENVIRONMENTS, options.to, '--to')
  const from = oneOf<Source>(SOURCES, options.from, '--from')
  await show(await connectController(options).promoteVersion(to, { from, version, force, reason }), options)
}

async function rollback(name: string, options: RollbackOptions): Promise<void> {
  const environment = oneOf<EnvironmentName>(ENVIRONMENTS, name, 'the environment')
  const { reason } = options
  await show(await connectController(options).rollbackEnvironment(environment, { reason }), options)
}

async function gates(name: string, options: GatesOptions): Promise<void> {
  const environment = oneOf<EnvironmentName>(ENVIRONMENTS, name, 'the environment')
  const { version, reason } = options
  const controller = connectController(options)
  let view = await controller.runGates(environment, { version, reason })
  const began = view.gates?.startedAt
  let shown = 0
  for (;;) {
    const run = view.gates
    if (run === null || run.startedAt !== began)
      throw new WeirError('not_ready', 'another version runs there by now: run the gates on that')
    if (!options.json) for (const result of run.results.slice(shown)) print(gateLine(result))
    shown = run.results.length
    if (run.endedAt !== null || !options.wait) break
    await new Promise(resolve => setTimeout(resolve, FOLLOW_EVERY_MS))
    view = await patiently(() => controller.environment(environment))
  }
  if (options.json) printJson(view)
  else print(gatesLine(view))
  if (options.wait && view.gates?.verdict !== 'pass') process.exitCode = 1
}

function oneOf<Name extends string>(names: readonly Name[], text: string, what: string): Name {
  const name = names.find(known => known === text)
  if (name !== undefined) return name
  throw new WeirError('invalid_setting', `${what} must be one of ${names.join(', ')}, not "${text}"`)
}

/** Waits for the deployment that was begun; exit code 1 when it was given up. */
async function show(begun: EnvironmentView, options: ConnectOptions & { wait: boolean }): Promise<void> {
  const controller = connectController(options)
  let environment = begun
  const revision = begun.deploying?.revision
  while (options.wait && environment.deploying?.revision === revision && revision !== undefined) {
    await new Promise(resolve => setTimeout(resolve, FOLLOW_EVERY_MS))
    environment = await patiently(() => controller.environment(begun.name))
  }
  if (options.json) printJson(environment)
  else print(environmentLine(environment))
  const entry = environment.history.find(told => told.revision === revision)
  const givenUp = begun.deploying?.stage === 'returning' || (entry?.failure ?? null) !== null
  if (options.wait && givenUp) process.exitCode = 1
}
