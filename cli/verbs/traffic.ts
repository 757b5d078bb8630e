import type { Command } from 'commander'
import { parseAssignments, parseNumber } from '../assignments.ts'
import { connectGateway, print, printJson, withConnection, type ConnectOptions } from '../connect.ts'
import { WeirError } from '../../contract/errors.ts'

export function addTraffic(program: Command): void {
  const traffic = program.command('traffic').description("a route's weights and stickiness")
  withConnection(traffic.command('show <route>')).description('the weights in force').action(show)
  withConnection(traffic.command('set <route> <weights...>'))
    .description('percent per variant, such as stable=80 candidate=20')
    .action(set)
  withConnection(traffic.command('sticky <route> <key>'))
    .description('pin users by header=NAME, cookie=NAME, client-address, or off')
    .action(sticky)
}

async function show(route: string, options: ConnectOptions): Promise<void> {
  const { policy, version } = await connectGateway(options).route(route)
  if (options.json) return printJson({ route, weights: policy.weights, policy_version: version })
  print(`${route}: ${describeWeights(policy.weights)} (policy version ${version})`)
}

async function set(route: string, words: string[], options: ConnectOptions): Promise<void> {
  const given = Object.entries(parseAssignments(words))
  const weights = Object.fromEntries(given.map(([variant, text]) => [variant, parseNumber(text, variant)]))
  const { policy, version, applied } = await connectGateway(options).patchRoute(route, { weights })
  if (options.json) return printJson({ route, weights: policy.weights, policy_version: version, applied })
  const force = applied ? 'in force in every worker' : 'being applied'
  print(`${route}: ${describeWeights(policy.weights)} (policy version ${version}, ${force})`)
}

async function sticky(route: string, key: string, options: ConnectOptions): Promise<void> {
  const { policy, version } = await connectGateway(options).patchRoute(route, { sticky: stickySetting(key) })
  if (options.json) return printJson({ route, sticky: policy.sticky ?? null, policy_version: version })
  print(
    `${route}: ${key === 'off' ? 'users are not pinned' : `users are pinned by ${key}`} (policy version ${version})`,
  )
}

function stickySetting(key: string): Record<string, unknown> | null {
  if (key === 'off') return null
  if (key === 'client-address') return { header: null, cookie: null, clientAddress: true }
  const [kind, name] = Object.entries(parseAssignments([key]))[0] ?? []
  if (kind === 'header' && name) return { cookie: null, clientAddress: null, header: name }
  if (kind === 'cookie' && name) return { header: null, clientAddress: null, cookie: name }
  throw new WeirError('invalid_setting', `"${key}" must be header=NAME, cookie=NAME, client-address or off`)
}

function describeWeights(weights: Readonly<Record<string, number>>): string {
  return Object.entries(weights)
    .map(([variant, percent]) => `${variant} ${percent} %`)
    .join(', ')
}
