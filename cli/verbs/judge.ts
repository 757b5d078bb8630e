import type { Command } from 'commander'

export function addJudge(program: Command): void {
  program.command('judge').description('run the judge on recorded counts')
}
