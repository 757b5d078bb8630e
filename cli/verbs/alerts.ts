import type { Command } from 'commander'
import { connectController, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { table } from '../render/table.ts'

export function addAlerts(program: Command): void {
  withConnection(program.command('alerts'))
    .description('what is wrong now and what was: alerts that stand first, then the newest resolved')
    .option('--open', 'only those that stand', false)
    .action(list)
}

async function list(options: ConnectOptions & { open: boolean }): Promise<void> {
  const all = await connectController(options).alerts()
  const items = options.open ? all.filter(({ status }) => status === 'firing') : all
  if (options.json) return printJson({ items })
  if (items.length === 0) return print(options.open ? 'no alert stands' : 'there has been no alert')
  print(
    table(
      ['STATUS', 'ALERT', 'SEVERITY', 'ABOUT', 'SINCE', 'UNTIL', 'SUMMARY'],
      items.map(({ status, alert, severity, labels, startsAt, endsAt, summary }) => {
        const about = labels['rollout'] ?? labels['route'] ?? ''
        return [status, alert, severity, about, startsAt, endsAt ?? '', summary]
      }),
    ),
  )
}
