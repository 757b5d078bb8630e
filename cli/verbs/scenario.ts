import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { WeirError } from '../../contract/errors.ts'
import { parseNumber } from '../assignments.ts'
import { connectController, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { describeKnown, HOW_TO_FOLLOW } from '../render/known-version.ts'
import { table } from '../render/table.ts'
import { runsOf } from '../runs.ts'
import { SCENARIOS, type Scenario } from '../scenario/scenarios.ts'
import { readBase, writeVersion, type BaseVersion, type VersionContent } from '../scenario/version-content.ts'
import { readVersionFiles } from '../version-files.ts'

interface Options extends ConnectOptions {
  readonly list: boolean
  readonly out?: string
  readonly base: string
  readonly name?: string
  readonly memoryLimitMib?: string
  readonly again: boolean
}

const MEMORY_LIMITS_MIB = { least: 256, most: 8192 } as const

export function addScenario(program: Command): void {
  withConnection(program.command('scenario [name]'))
    .description('build a version that fails in a way of its own, and register it: the pipeline must stop it')
    .option('--list', 'what each scenario shows', false)
    .option('--out <folder>', 'only write the version, to this folder')
    .option('--base <folder>', 'the trained version that it is made of', 'models/food11/1')
    .option('--name <name>', 'what the version is called in its manifest (default: the scenario)')
    .option(
      '--memory-limit-mib <n>',
      "its manifest's memory limit (default: the base's); oversized is padded beyond it",
    )
    .option('--again', 'register it as a new version, although the same content is one already', false)
    .action(scenario)
}

async function scenario(name: string | undefined, options: Options): Promise<void> {
  if (options.list) return list(options)
  if (name === undefined)
    throw new WeirError('invalid_setting', 'name a scenario; weir scenario --list says what each shows')
  const found = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined
  if (found === undefined)
    throw new WeirError('not_found', `no scenario "${name}": ${Object.keys(SCENARIOS).join(', ')}`)
  const chosen = { name, scenario: found, base: await readBase(options.base) }
  if (options.out !== undefined) return write(chosen, options.out, options)
  return register(chosen, options)
}

function list({ json }: Options): void {
  const items = Object.entries(SCENARIOS).map(([name, { shows, stoppedAt }]) => ({ name, shows, stoppedAt }))
  if (json) return printJson({ items })
  print(
    table(
      ['SCENARIO', 'STOPPED AT', 'SHOWS'],
      items.map(({ name, shows, stoppedAt }) => [name, stoppedAt, shows]),
    ),
  )
}

interface Chosen {
  readonly name: string
  readonly scenario: Scenario
  readonly base: BaseVersion
}

async function write(chosen: Chosen, folder: string, options: Options): Promise<void> {
  if ((await entriesOf(folder)).length > 0)
    throw new WeirError('conflict', `${folder} is not empty; name a folder that is, or none yet`)
  const digest = await build(chosen, folder, options)
  if (options.json) return printJson({ scenario: chosen.name, folder, digest })
  print(`${chosen.name}: ${chosen.scenario.shows}\nwritten to ${folder} (${digest})`)
}

async function register(chosen: Chosen, options: Options): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-scenario-'))
  try {
    await build(chosen, folder, options)
    const { name, files } = await readVersionFiles(folder)
    const client = connectController(options)
    const registered = await client.registerVersion(name, files)
    if (options.json) return printJson({ scenario: chosen.name, ...registered })
    const runs = await runsOf(client)
    if (!registered.created) return print(describeKnown(registered, runs ?? []))
    const { model, version, digest } = registered
    const { shows, stoppedAt } = chosen.scenario
    print(`${model}/${version} (${digest}): ${shows}\nits pipeline should stop at the gate ${stoppedAt}`)
    if (runs !== undefined) print(HOW_TO_FOLLOW)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function build({ name, scenario, base }: Chosen, folder: string, options: Options): Promise<string> {
  const memoryLimitMiB = memoryLimitOf(options) ?? base.manifest.memoryLimitMiB
  const content = scenario.build(base, { name: options.name ?? name, memoryLimitMiB })
  return writeVersion(folder, options.again ? asRehearsal(content) : content)
}

/** The same version in every respect, and other content: the registry knows each content once. */
function asRehearsal({ manifest, ...files }: VersionContent): VersionContent {
  const trainedOn = { data: manifest['trainedOn'], rehearsal: new Date().toISOString() }
  return { ...files, manifest: { ...manifest, trainedOn } }
}

function memoryLimitOf({ memoryLimitMib: text }: Options): number | undefined {
  if (text === undefined) return undefined
  const { least, most } = MEMORY_LIMITS_MIB
  const limit = parseNumber(text, '--memory-limit-mib')
  if (Number.isInteger(limit) && limit >= least && limit <= most) return limit
  throw new WeirError('invalid_setting', `--memory-limit-mib must be a whole number, ${least} to ${most}`)
}

async function entriesOf(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}
