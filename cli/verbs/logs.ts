import type { Command } from 'commander'
import { connectController, print, withConnection, type ConnectOptions } from '../connect.ts'

export function addLogs(program: Command): void {
  withConnection(program.command('logs <model> <version>'))
    .description('what the model servers of a version logged last')
    .action(async (model: string, version: string, options: ConnectOptions) =>
      print(await connectController(options).logs(model, version)),
    )
}
