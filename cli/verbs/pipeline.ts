import type { Command } from 'commander'
import type { ControllerClient } from '../../client/controller.ts'
import { ENDED_PHASES, type PipelineView } from '../../contract/pipeline.ts'
import {
  connectController,
  print,
  printJson,
  withConnection,
  withPerson,
  type ConnectOptions,
} from '../connect.ts'
import { patiently } from '../patiently.ts'
import { createLiveView } from '../render/live.ts'
import { describePipeline, pipelineTable, stepTable } from '../render/pipeline.ts'

interface JudgeOptions extends ConnectOptions {
  readonly as: string
  readonly reason?: string
}

interface CancelOptions extends ConnectOptions {
  readonly reason: string
}

const FOLLOW_EVERY_MS = 500

export function addPipeline(program: Command): void {
  const pipeline = program
    .command('pipeline')
    .description('a registered version on its way: staging, gates, canary, rollout, production')
  withConnection(pipeline.command('list')).description('all runs, newest first').action(list)
  withConnection(pipeline.command('show <id>'))
    .description('the steps of a run, with what each found')
    .option('--watch', 'follow it to its end; exit code 1 if it did not pass', false)
    .action(show)
  withConnection(pipeline.command('run <model> <version>'))
    .description('send a version through the pipeline by hand')
    .option('--wait', 'wait for the end; exit code 1 if it did not pass', false)
    .action(run)
  for (const [verb, description] of [
    ['approve', 'let the version go to all users'],
    ['reject', 'take the version back from the users who have it'],
  ] as const) {
    withConnection(pipeline.command(`${verb} <id>`))
      .description(description)
      .requiredOption('--as <name>', 'the person whose decision it is')
      .option('--reason <text>', 'recorded in the audit')
      .action(async (id: string, { as, reason, ...options }: JudgeOptions) => {
        const after = await connectController(options).judgePipeline(id, verb, { as, reason })
        if (options.json) return printJson(after)
        print(`${id}: ${verb === 'approve' ? 'approved' : 'rejected'} by ${as}`)
      })
  }
  withPerson(withConnection(pipeline.command('cancel <id>')))
    .description('end a run; what it brought to staging and canary goes back, and the version is not marked')
    .requiredOption('--reason <text>', 'recorded in the audit')
    .action(async (id: string, { as, reason, ...options }: CancelOptions) => {
      const after = await connectController(options).cancelPipeline(id, { as, reason })
      if (options.json) return printJson(after)
      print(`${id}: ${after.message}`)
    })
}

async function list(options: ConnectOptions): Promise<void> {
  const items = await connectController(options).pipelines()
  if (options.json) return printJson({ items })
  if (items.length === 0) return print('no runs yet; weir pipeline run MODEL VERSION begins one')
  print(pipelineTable(items))
}

async function show(id: string, options: ConnectOptions & { watch: boolean }): Promise<void> {
  const controller = connectController(options)
  if (options.watch) return follow(controller, id, options)
  const found = await controller.pipeline(id)
  if (options.json) return printJson(found)
  print(describePipeline(found))
}

async function run(
  model: string,
  version: string,
  options: ConnectOptions & { wait: boolean },
): Promise<void> {
  const controller = connectController(options)
  const started = await controller.startPipeline(model, version)
  if (options.wait) return follow(controller, started.id, options)
  if (options.json) return printJson(started)
  print(`${started.id}: started\n  follow it with: npx weir pipeline show ${started.id} --watch`)
}

/** A line that stays for every step that ended, a live one for what is under way. */
async function follow(controller: ControllerClient, id: string, options: ConnectOptions): Promise<void> {
  const view = createLiveView(process.stdout)
  const told = new Set<string>()
  for (;;) {
    const found = await patiently(() => controller.pipeline(id))
    if (!options.json) {
      for (const { name, status, message } of endedSteps(found)) {
        if (!told.has(name)) view.log(`${name}: ${status} (${message})`)
        told.add(name)
      }
      view.draw([`  ${found.phase}: ${found.message}`])
    }
    if (ENDED_PHASES.has(found.phase)) {
      view.close()
      if (options.json) printJson(found)
      else print(`${id}: ${found.phase}\n${stepTable(found)}`)
      process.exitCode = found.phase === 'Passed' ? 0 : 1
      return
    }
    await new Promise(resolve => setTimeout(resolve, FOLLOW_EVERY_MS))
  }
}

function endedSteps({ steps }: PipelineView): PipelineView['steps'] {
  return steps.filter(({ status }) => status !== 'pending' && status !== 'running')
}
