import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { Drill } from '../../contract/rollout.ts'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { createApp } from '../../serving/app.ts'
import { createModelServer } from '../../serving/model-server.ts'
import { parseServeOptions } from '../../serving/options.ts'

export interface StartOptions {
  /** As on the command line, beside --model. */
  readonly args?: readonly string[]
  readonly drill?: Drill
  readonly clock?: Clock
  readonly bodyLimitBytes?: number
}

/** A whole model server on a free port, its model loaded or refused; it closes itself with the test. */
export async function startServer(t: Test, model: string, start: StartOptions = {}) {
  const { args = ['--workers', '1', '--threads', '1'], drill, clock = systemClock, bodyLimitBytes } = start
  const options = parseServeOptions(['--model', model, ...args])
  const log = createLog('serving-test', 'silent')
  const lost: Error[] = []
  const server = createModelServer({ options, clock, log, onBroken: error => lost.push(error) })
  const limits = bodyLimitBytes === undefined ? {} : { bodyLimitBytes }
  const app = await createApp({
    server,
    modelPath: model,
    samplesDir: options.samples,
    drill,
    clock,
    log,
    ...limits,
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  await server.load()
  t.teardown(async () => {
    server.drain()
    await app.close()
    await server.close()
  })
  const { port } = app.server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, server, lost }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // Tests look into answers of every shape; a wrong one fails their comparison.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: parse(text) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export function postJson(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return ask(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

export function postBytes(url: string, body: Uint8Array, contentType: string): Promise<Answer> {
  return ask(url, {
    method: 'POST',
    headers: { 'content-type': contentType },
    body: new Blob([Uint8Array.from(body)]),
  })
}
