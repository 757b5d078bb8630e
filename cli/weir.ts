import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { reportAndExit } from './report.ts'
import { addAudit } from './verbs/audit.ts'
import { addController } from './verbs/controller.ts'
import { addDemo } from './verbs/demo.ts'
import { addGateway } from './verbs/gateway.ts'
import { addJudge } from './verbs/judge.ts'
import { addLoad } from './verbs/load.ts'
import { addLogs } from './verbs/logs.ts'
import { addMirror } from './verbs/mirror.ts'
import { addPredict } from './verbs/predict.ts'
import { addRollout } from './verbs/rollout.ts'
import { addServe } from './verbs/serve.ts'
import { addStatus } from './verbs/status.ts'
import { addTraffic } from './verbs/traffic.ts'
import { addUp } from './verbs/up.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const program = new Command('weir')
  .description('puts a new version of a model in front of real users safely')
  .version(`weir ${version} on Node ${process.versions.node}`)
  .showHelpAfterError('(weir --help lists the verbs, weir VERB --help their options)')

const start = [addUp, addGateway, addServe, addController]
const operate = [addStatus, addTraffic, addMirror, addRollout, addPredict, addLoad, addAudit, addLogs]
for (const add of [...start, ...operate, addJudge, addDemo]) add(program)

await program.parseAsync().catch(reportAndExit)
