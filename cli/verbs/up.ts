import type { Command } from 'commander'
import { startUp, type UpOptions } from '../up/up.ts'

export function addUp(program: Command): void {
  program
    .command('up')
    .description('start everything on this machine: gateway, controller and the model servers')
    .option(
      '--host <address>',
      'address for the public port, the operator API and the controller',
      '127.0.0.1',
    )
    .option('--port <n>', 'public port', '8080')
    .option('--operator-port <n>', "port of the gateway's operator API", '8081')
    .option('--controller-port <n>', "port of the controller's API", '8090')
    .option('--staging-port <n>', 'port of staging (default: the public port + 2, or the next free one)')
    .option('--canary-port <n>', 'port of canary (default: the public port + 3, or the next free one)')
    .option('--first-serving-port <n>', 'model servers take free ports from here on', '9101')
    .option('--workers <n>', 'gateway worker processes (default: cores - 1, at least 1)')
    .option('--models <dir>', 'where versions of models are kept', 'models')
    .option('--model <name>', 'the model to begin with', 'food11')
    .option('--stable <version>', 'the version that begins as stable', '1')
    .option('--candidate <version>', 'the version that begins as candidate', '2')
    .option('--state <dir>', 'state folder (default: WEIR_STATE, else .weir)')
    .option('--fresh', 'forget the state of earlier runs and begin anew', false)
    .action(async (options: UpOptions) => startUp(options))
}
