import type { Command } from 'commander'
import { WeirError } from '../../contract/errors.ts'
import {
  ALIASES,
  alias,
  type BrokenVersion,
  type ModelSummary,
  type ModelVersionView,
} from '../../contract/registry.ts'
import { describeIssues } from '../../lib/parse.ts'
import { connectController, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { HOW_TO_FOLLOW } from '../render/known-version.ts'
import { describeVersion } from '../render/model.ts'
import { inOneLine } from '../render/one-line.ts'
import { table } from '../render/table.ts'
import { runsOf } from '../runs.ts'
import { readVersionFiles } from '../version-files.ts'

interface RegisterOptions extends ConnectOptions {
  readonly name?: string
  readonly version?: string
}

export function addModel(program: Command): void {
  const model = program
    .command('model')
    .description('the registry: versions of models and what points at them')
  withConnection(model.command('register <folder>'))
    .description('register the version in a folder (model.json, model.onnx); development then points at it')
    .option('--name <model>', "the model that it is a version of (default: the manifest's name)")
    .option('--version <number>', 'its number (default: the next)')
    .action(register)
  withConnection(model.command('list [model]')).description('all models, or all versions of one').action(list)
  withConnection(model.command('show <model/version>'))
    .description('one version: its digest, aliases, accuracy, and who registered it')
    .action(show)
  withConnection(model.command('clear-failure <model/version>'))
    .description(
      'hold nothing against a version that failed any more, so that it may go through the pipeline again',
    )
    .requiredOption('--reason <text>', 'why, for the audit')
    .action(clearFailure)
  withConnection(model.command('alias <model> <alias> <version>'))
    .description(`point ${ALIASES.join(', ')} at a version that is seen serving; "none" takes the alias away`)
    .option('--reason <text>', 'why, for the audit')
    .option('--if <version>', 'only if it points at this version until now')
    .action(setAlias)
}

async function register(folder: string, options: RegisterOptions): Promise<void> {
  const { name, files } = await readVersionFiles(folder)
  const client = connectController(options)
  const version = await client.registerVersion(options.name ?? name, files, options.version)
  if (options.json) return printJson(version)
  const { model, version: number, digest, aliases, created, failed } = version
  const said = created ? 'registered' : 'has this content already, no version was added'
  print(`${model}/${number}: ${said}; aliases: ${aliases.join(', ') || 'none'} (${digest})`)
  if (failed !== null) print(`it failed: ${inOneLine(failed)}`)
  if (created && (await runsOf(client)) !== undefined) print(HOW_TO_FOLLOW)
}

async function list(model: string | undefined, options: ConnectOptions): Promise<void> {
  const client = connectController(options)
  if (model === undefined) {
    const items = await client.models()
    if (options.json) return printJson({ items })
    print(modelTable(items))
    return items.forEach(({ name, broken }) => printBroken(name, broken))
  }
  const { items, broken } = await client.versions(model)
  if (options.json) return printJson({ items, broken })
  print(versionTable(items))
  printBroken(model, broken)
}

function printBroken(model: string, broken: readonly BrokenVersion[]): void {
  for (const { version, reason } of broken) print(`${model}/${version} cannot be used: ${inOneLine(reason)}`)
}

function modelTable(items: readonly ModelSummary[]): string {
  return table(
    ['MODEL', 'VERSIONS', 'LATEST', ...ALIASES.map(name => name.toUpperCase())],
    items.map(item => [
      item.name,
      item.versions,
      item.latest ?? '-',
      ...ALIASES.map(name => item.aliases[name] ?? '-'),
    ]),
  )
}

function versionTable(items: readonly ModelVersionView[]): string {
  return table(
    ['VERSION', 'ALIASES', 'REGISTERED', 'BY', 'DIGEST', 'FAILED'],
    items.map(item => [
      item.version,
      item.aliases.join(',') || '-',
      item.registeredAt?.replace(/\.\d+/, '') ?? '-',
      item.registeredBy ?? '-',
      item.digest.slice(0, 'sha256:'.length + 12),
      item.failed ?? '',
    ]),
  )
}

function versionNamed(named: string): { readonly model: string; readonly version: string } {
  const [, model, version] = /^([^/]+)\/([^/]+)$/.exec(named) ?? []
  if (model !== undefined && version !== undefined) return { model, version }
  throw new WeirError('invalid_setting', `"${named}" must be a model and a version, such as food11/2`)
}

async function clearFailure(named: string, options: ConnectOptions & { reason: string }): Promise<void> {
  const { model, version } = versionNamed(named)
  const cleared = await connectController(options).clearFailure(model, version, options.reason)
  if (options.json) return printJson(cleared)
  print(
    `${named}: nothing is held against it; weir pipeline run ${model} ${version} sends it on its way again`,
  )
}

async function show(named: string, options: ConnectOptions): Promise<void> {
  const { model, version } = versionNamed(named)
  const found = await connectController(options).modelVersion(model, version)
  if (options.json) printJson(found)
  else print(describeVersion(found))
}

async function setAlias(
  model: string,
  name: string,
  version: string,
  options: ConnectOptions & { reason?: string; if?: string },
): Promise<void> {
  const parsed = alias.safeParse(name)
  if (!parsed.success) throw new WeirError('invalid_setting', `"${name}" ${describeIssues(parsed.error)}`)
  const to = version === 'none' ? null : version
  const { reason, if: ifMatch } = options
  if (ifMatch !== undefined && !/^[\w.-]+$/.test(ifMatch))
    throw new WeirError('invalid_setting', `--if must be one version, such as 2, not "${ifMatch}"`)
  const set = await connectController(options).setAlias(model, parsed.data, to, { reason, ifMatch })
  if (options.json) return printJson(set)
  print(`${model}: ${name} points at ${to === null ? 'nothing' : `version ${to}`}`)
}
