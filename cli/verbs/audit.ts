import type { Command } from 'commander'
import { connectController, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { table } from '../render/table.ts'

export function addAudit(program: Command): void {
  withConnection(program.command('audit'))
    .description('who decided what, when and why; newest first')
    .option('--subject <name>', 'only records about this, such as a rollout')
    .option('--limit <n>', 'at most this many', '50')
    .action(async (options: ConnectOptions & { subject?: string; limit: string }) => {
      const items = await connectController(options).audit({
        subject: options.subject,
        limit: Number(options.limit),
      })
      if (options.json) return printJson({ items })
      print(
        table(
          ['SEQ', 'AT', 'ACTOR', 'ACTION', 'SUBJECT', 'REASON'],
          items.map(r => [r.seq, r.at, r.actor, r.action, r.subject, r.reason]),
        ),
      )
    })
}
