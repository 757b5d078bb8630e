import type { Command } from 'commander'
import { parseAssignments, parseNumber } from '../assignments.ts'
import { connectGateway, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { WeirError } from '../../contract/errors.ts'

export function addMirror(program: Command): void {
  const mirror = program
    .command('mirror')
    .description('copies of live requests for a variant whose answers nobody sees')
  withConnection(mirror.command('set <route> <variant=percent>'))
    .description('such as candidate=10; 0 turns it off')
    .action(set)
}

async function set(route: string, assignment: string, options: ConnectOptions): Promise<void> {
  const [[to, text] = []] = Object.entries(parseAssignments([assignment]))
  if (to === undefined || text === undefined)
    throw new WeirError('invalid_setting', `"${assignment}" must look like VARIANT=PERCENT`)
  const patch = { mirror: { to, percent: parseNumber(text, to) } }
  const { policy, version } = await connectGateway(options).patchRoute(route, patch)
  if (options.json) return printJson({ route, mirror: policy.mirror ?? null, policy_version: version })
  print(`${route}: ${text} % of requests are copied to ${to} (policy version ${version})`)
}
