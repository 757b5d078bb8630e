import type { Command } from 'commander'

export function addGateway(program: Command): void {
  program.command('gateway').description('start a gateway')
}
