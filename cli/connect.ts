import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { WeirError } from '../contract/errors.ts'
import { createControllerClient, type ControllerClient } from '../client/controller.ts'
import { createGatewayClient, type GatewayClient } from '../client/gateway.ts'

/** Options that every verb has which talks to a running Weir. */
export interface ConnectOptions {
  readonly gateway: string
  readonly controller: string
  readonly json: boolean
  readonly as?: string
}

export function withConnection(command: Command): Command {
  return command
    .option(
      '--gateway <url>',
      'operator API of the gateway',
      process.env['WEIR_GATEWAY'] ?? 'http://127.0.0.1:8081',
    )
    .option(
      '--controller <url>',
      'API of the controller',
      process.env['WEIR_CONTROLLER'] ?? 'http://127.0.0.1:8090',
    )
    .option('--json', 'print JSON', false)
}

export function connectGateway({ gateway }: ConnectOptions): GatewayClient {
  return createGatewayClient({ baseUrl: requireUrl(gateway, '--gateway or WEIR_GATEWAY') })
}

/** For verbs that approvers may be asked for. */
export function withPerson(command: Command): Command {
  return command.option('--as <name>', "the person whose decision it is (default: the system's user)")
}

/** What the operator does is recorded under the name that is given, or of the system's user. */
export function connectController({ controller, as }: ConnectOptions): ControllerClient {
  const baseUrl = requireUrl(controller, '--controller or WEIR_CONTROLLER')
  return createControllerClient({ baseUrl, actor: as ?? userInfo().username })
}

/** Throws, naming the setting that is to be changed. */
export function requireUrl(text: string, setting: string): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text.replace(/\/+$/, '')
  throw new WeirError(
    'invalid_setting',
    `"${text}" is no address: ${setting} must be one such as http://127.0.0.1:8081`,
  )
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}
