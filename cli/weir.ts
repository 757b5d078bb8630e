import { Command } from 'commander'
import { reportAndExit } from './report.ts'
import { addController } from './verbs/controller.ts'
import { addGateway } from './verbs/gateway.ts'
import { addJudge } from './verbs/judge.ts'
import { addServe } from './verbs/serve.ts'

const program = new Command('weir')
  .description('puts a new version of a model in front of real users safely')
  .showHelpAfterError('(weir --help lists the verbs, weir VERB --help their options)')

addGateway(program)
addServe(program)
addController(program)
addJudge(program)

await program.parseAsync().catch(reportAndExit)
