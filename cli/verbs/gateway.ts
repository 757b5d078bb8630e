import type { Command } from 'commander'
import { execProgram } from '../exec.ts'
import { passOn } from '../pass-on.ts'

/** `weir gateway`: becomes the gateway's primary process. */
export function addGateway(program: Command): void {
  program
    .command('gateway')
    .description('start a gateway that splits traffic between the variants of its routes')
    .requiredOption(
      '--config <file>',
      'routes to begin with (YAML); afterwards the store in the state folder counts',
    )
    .option('--port <n>', 'port for clients', '8080')
    .option('--host <address>', 'address for clients', '127.0.0.1')
    .option('--operator-port <n>', 'port of the operator API and /metrics', '8081')
    .option('--operator-host <address>', 'address of the operator API', '127.0.0.1')
    .option('--workers <n>', 'forwarding processes (default: cores less one, at least one)')
    .option('--drain-seconds <n>', 'how long requests in flight may finish when it stops (default: 25)')
    .option('--state <dir>', 'state folder (default: WEIR_STATE, or .weir)')
    .action(options => execProgram('gateway/main.ts', passOn(options)))
}
