import type { Command } from 'commander'
import { execProgram } from '../exec.ts'
import { passOn } from '../pass-on.ts'

export function addController(program: Command): void {
  program
    .command('controller')
    .description('start a controller: rollouts and what they need, for a gateway that runs already')
    .option('--port <n>', 'port of its API', '8090')
    .option('--host <address>', 'address of its API', '127.0.0.1')
    .option('--gateway <url>', 'operator API of the gateway', 'http://127.0.0.1:8081')
    .option('--models <dir>', 'where versions of models are kept', 'models')
    .option('--state <dir>', 'state folder (default: WEIR_STATE, else .weir)')
    .option('--first-serving-port <n>', 'model servers take free ports from here on', '9101')
    .option(
      '--environments <route=model:ports>',
      'keep staging, canary and production of a route: food11=food11:8080,8082,8083 (production, staging, canary)',
    )
    .option('--gateway-host <address>', 'where the listeners of the gateway are reached', '127.0.0.1')
    .option(
      '--alerts <file>',
      'who hears of alerts (default: WEIR_ALERTS, else alerts.yaml in the state folder)',
    )
    .action(options => execProgram('controller/main.ts', passOn(options)))
}
