import type { Command } from 'commander'
import { z } from 'zod'
import type { AuditRecord } from '../../client/controller.ts'
import { connectController, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { table } from '../render/table.ts'

export function addAudit(program: Command): void {
  const audit = withConnection(program.command('audit'))
    .description('who decided what, when and why; newest first')
    .option('--subject <name>', 'only records about this, such as a rollout')
    .option('--limit <n>', 'at most this many', '50')
    .action(list)
  withConnection(audit.command('verify'))
    .description('find any record that was changed, removed or moved; exit code 1 if there is one')
    .option('--head <seq:hash>', 'what an earlier verification printed, which must still hold')
    .action(verify)
}

async function list(options: ConnectOptions & { subject?: string; limit: string }): Promise<void> {
  const { subject, limit } = options
  const items = await connectController(options).audit({ subject, limit: Number(limit) })
  if (options.json) return printJson({ items })
  print(
    table(
      ['SEQ', 'AT', 'ACTOR', 'ACTION', 'SUBJECT', 'REASON'],
      items.map(r => [r.seq, r.at, r.actor, actionOf(r), r.subject, r.reason]),
    ),
  )
}

const aliasMoved = z.object({ alias: z.string(), after: z.string().nullable() })

/** A version has several aliases: the subject alone does not say which of them was moved, or where to. */
function actionOf({ action, evidence }: AuditRecord): string {
  const moved = aliasMoved.safeParse(evidence)
  return moved.success ? `${action} ${moved.data.alias} → ${moved.data.after ?? 'none'}` : action
}

async function verify(options: ConnectOptions & { head?: string }): Promise<void> {
  const found = await connectController(options).verifyAudit(options.head)
  const { records, head, firstBad } = found
  process.exitCode = firstBad === null ? 0 : 1
  if (options.json) return printJson(found)
  if (firstBad !== null)
    return print(`${firstBad.problem}: ${firstBad.message} (${records} before it are sound)`)
  print(`all ${records} records are as they were written; the last is ${head.seq}:${head.hash}`)
}
