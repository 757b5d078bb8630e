import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { reportAndExit } from './report.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** Loaded only when called, so that one verb does not wait for what all the others import. */
const VERBS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  up: async () => (await import('./verbs/up.ts')).addUp,
  gateway: async () => (await import('./verbs/gateway.ts')).addGateway,
  serve: async () => (await import('./verbs/serve.ts')).addServe,
  controller: async () => (await import('./verbs/controller.ts')).addController,
  status: async () => (await import('./verbs/status.ts')).addStatus,
  traffic: async () => (await import('./verbs/traffic.ts')).addTraffic,
  mirror: async () => (await import('./verbs/mirror.ts')).addMirror,
  model: async () => (await import('./verbs/model.ts')).addModel,
  rollout: async () => (await import('./verbs/rollout.ts')).addRollout,
  env: async () => (await import('./verbs/env.ts')).addEnv,
  pipeline: async () => (await import('./verbs/pipeline.ts')).addPipeline,
  predict: async () => (await import('./verbs/predict.ts')).addPredict,
  load: async () => (await import('./verbs/load.ts')).addLoad,
  alerts: async () => (await import('./verbs/alerts.ts')).addAlerts,
  audit: async () => (await import('./verbs/audit.ts')).addAudit,
  logs: async () => (await import('./verbs/logs.ts')).addLogs,
  judge: async () => (await import('./verbs/judge.ts')).addJudge,
  scenario: async () => (await import('./verbs/scenario.ts')).addScenario,
  demo: async () => (await import('./verbs/demo.ts')).addDemo,
}

const program = new Command('weir')
  .description('puts a new version of a model in front of real users safely')
  .version(`weir ${version} on Node ${process.versions.node}`)
  .enablePositionalOptions() // --version after a verb is the verb's
  .showHelpAfterError('(weir --help lists the verbs, weir VERB --help their options)')

async function run(): Promise<void> {
  const called = VERBS[process.argv[2] ?? '']
  for (const load of called ? [called] : Object.values(VERBS)) {
    const add = await load()
    add(program)
  }
  await program.parseAsync()
}

await run().catch(reportAndExit)
