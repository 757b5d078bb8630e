import type { Command } from 'commander'
import { runDemo } from '../demo/demo.ts'

export function addDemo(program: Command): void {
  program
    .command('demo')
    .description('one version brought to all users, and one that really fails taken away, in a live view')
    .action(runDemo)
}
