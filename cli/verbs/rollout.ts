import { readFile, stat, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parse } from 'yaml'
import type { Rollout } from '../../client/controller.ts'
import { WeirError } from '../../contract/errors.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { parseAssignments, parseNumber } from '../assignments.ts'
import {
  connectController,
  print,
  printJson,
  withConnection,
  withPerson,
  type ConnectOptions,
} from '../connect.ts'
import { inOneLine } from '../render/one-line.ts'
import { describeRollout, rolloutLine } from '../render/rollout.ts'
import { patiently } from '../patiently.ts'
import { createLiveView } from '../render/live.ts'
import { table } from '../render/table.ts'

interface StartOptions extends ConnectOptions {
  readonly to?: string
  readonly file?: string
  readonly drill?: string
  readonly supersede: boolean
  readonly wait: boolean
}

const FOLLOW_EVERY_MS = 500

const VERBS: readonly (readonly [verb: string, description: string])[] = [
  ['pause', 'stay at the present weight until resumed'],
  ['resume', 'go on after a pause'],
  ['promote', 'give the candidate all traffic now'],
  ['skip-step', 'go on with the next step'],
  ['abort', 'take all traffic off the candidate now'],
  ['approve', 'let a rollout that waits for an approval go on'],
  ['reject', 'refuse the approval: take all traffic off the candidate'],
  ['retry', 'start an ended rollout again'],
]

export function addRollout(program: Command): void {
  const rollout = program
    .command('rollout')
    .description('bring a version to all users on evidence, or withdraw it')
  withConnection(rollout.command('start <route>'))
    .description(
      'start a rollout; without a file: weight 10 %, then a ramp with 1 pp at risk, looks every second',
    )
    .option('--to <version>', 'the version to roll out')
    .option('--file <file>', 'a rollout file (YAML or JSON)')
    .option(
      '--drill <settings>',
      'rehearse with answers that fail: failRate=0.3,delayMs=300,after=50,statusCode=500',
    )
    .option('--supersede', 'a rollout that is under way on the route makes room', false)
    .option('--wait', 'wait for the end; exit code 1 if it was not promoted', false)
    .action(start)
  withConnection(rollout.command('list')).description('all rollouts, newest first').action(list)
  withConnection(rollout.command('status <name>'))
    .description('where a rollout stands and why')
    .option('--watch', 'follow it to its end; exit code 1 if it was not promoted', false)
    .action(status)
  withConnection(rollout.command('explain <name>'))
    .description('what it waits for, how long that takes, and what speaks against it')
    .action(explain)
  withConnection(rollout.command('export <name>'))
    .description('write its file and recorded history, as weir judge reads them')
    .option('--dir <dir>', 'where to', '.')
    .action(exportHistory)
  for (const [verb, description] of VERBS) {
    withPerson(withConnection(rollout.command(`${verb} <name>`)))
      .description(description)
      .option('--reason <text>', 'recorded in the audit')
      .action(async (name: string, options: ConnectOptions & { reason?: string }) => {
        const after = await connectController(options).act(name, verb, { reason: options.reason })
        if (options.json) return printJson(after)
        print(rolloutLine(after))
      })
  }
}

async function start(route: string, options: StartOptions): Promise<void> {
  const controller = connectController(options)
  const started = await controller.startRollout(await rolloutSource(route, options))
  if (!options.wait) return options.json ? printJson(started) : print(describeStart(started))
  if (!options.json) print(describeStart(started))
  await follow(started.name, options)
}

function describeStart({ name, message }: Rollout): string {
  return `rollout ${name}: ${message}\n  follow it with: npx weir rollout status ${name} --watch`
}

/** The file with what the command line adds to it; without a file the defaults with a look every second. */
async function rolloutSource(route: string, { to, file, drill, supersede }: StartOptions): Promise<unknown> {
  const base = file === undefined ? NO_FILE : await readRollout(file)
  const spec = asRecord(base['spec'] ?? {}, 'spec')
  if (spec['route'] !== undefined && spec['route'] !== route) {
    throw new WeirError('invalid_setting', `${file} is for route ${String(spec['route'])}, not ${route}`)
  }
  const modelVersion = to ?? spec['modelVersion']
  if (modelVersion === undefined) {
    throw new WeirError('invalid_setting', 'which version? name it with --to VERSION or in the file')
  }
  const settings = {
    ...(drill !== undefined && { drill: parseDrill(drill) }),
    ...(supersede && { supersede }),
  }
  return { ...base, spec: { ...spec, route, modelVersion, ...settings } }
}

async function readRollout(file: string): Promise<Record<string, unknown>> {
  const text = await readFile(file, 'utf8')
  return asRecord(parseNaming(file, text), file)
}

function parseNaming(file: string, text: string): unknown {
  try {
    return parse(text, { prettyErrors: false }) // which would show the place over several lines
  } catch (cause) {
    throw new WeirError('invalid_setting', `${file} cannot be read`, { cause })
  }
}

const NO_FILE = { apiVersion: 'weir.dev/v1alpha1', kind: 'Rollout', spec: { analysis: { interval: '1s' } } }

function asRecord(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new WeirError('invalid_setting', `${what} must be a mapping of settings`)
}

function parseDrill(text: string): Record<string, number> {
  const given = Object.entries(parseAssignments(text.split(',')))
  return Object.fromEntries(given.map(([key, value]) => [key, parseNumber(value, `--drill ${key}`)]))
}

async function list(options: ConnectOptions): Promise<void> {
  const rollouts = await connectController(options).rollouts()
  if (options.json) return printJson({ items: rollouts })
  if (rollouts.length === 0) return print('no rollouts yet; weir rollout start ROUTE --to VERSION begins one')
  const rows = rollouts.map(r => [
    r.name,
    r.route,
    r.phase,
    r.weight,
    `${r.versions.stable.version} → ${r.versions.candidate.version}`,
    r.startedAt,
  ])
  print(table(['NAME', 'ROUTE', 'PHASE', 'WEIGHT %', 'VERSION', 'STARTED'], rows))
}

async function status(name: string, options: ConnectOptions & { watch: boolean }): Promise<void> {
  if (options.watch) return follow(name, options)
  const rollout = await connectController(options).rollout(name)
  if (options.json) return printJson(rollout)
  print(describeRollout(rollout))
}

async function explain(name: string, options: ConnectOptions): Promise<void> {
  const explanation = await connectController(options).explain(name)
  if (options.json) return printJson(explanation)
  print(explanation.sentences.map(inOneLine).join('\n'))
}

/** Follows a rollout to its end: a line that stays for every change of phase or weight, a live one for what it waits for. */
async function follow(name: string, options: ConnectOptions): Promise<void> {
  const controller = connectController(options)
  const view = createLiveView(process.stdout)
  for (let told = ''; ;) {
    const rollout = await patiently(() => controller.rollout(name))
    const news = `${rollout.phase} ${rollout.cause} ${rollout.weight}`
    if (news !== told) view.log(options.json ? JSON.stringify(rollout) : rolloutLine(rollout))
    told = news
    if (TERMINAL_PHASES.has(rollout.phase)) {
      view.close()
      process.exitCode = rollout.phase === 'Promoted' ? 0 : 1
      return
    }
    if (!options.json) view.draw([`  ${inOneLine(rollout.message)}`])
    await new Promise(resolve => setTimeout(resolve, FOLLOW_EVERY_MS))
  }
}

async function requireFolder(dir: string): Promise<void> {
  const isFolder = await stat(dir).then(
    found => found.isDirectory(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false
      throw error
    },
  )
  if (!isFolder)
    throw new WeirError('invalid_setting', `--dir "${dir}" is no folder; make it first, or name another`)
}

async function exportHistory(name: string, options: ConnectOptions & { dir: string }): Promise<void> {
  const { rollout, history } = await connectController(options).evidence(name)
  await requireFolder(options.dir)
  const files = {
    rollout: `${options.dir}/${name}.rollout.json`,
    history: `${options.dir}/${name}.history.json`,
  }
  await writeFile(files.rollout, JSON.stringify(rollout, null, 2))
  await writeFile(files.history, JSON.stringify(history))
  if (options.json) return printJson(files)
  print(`weir judge --rollout ${files.rollout} --history ${files.history}`)
}
