import type { Command } from 'commander'

export function addController(program: Command): void {
  program.command('controller').description('start a controller')
}
