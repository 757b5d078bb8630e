import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly body: unknown
  /** What the sender calls this message; the same when it is sent again. */
  readonly id: string
}

export interface Receiver {
  readonly url: string
  /** Everything that arrived, in order, whatever was answered. */
  readonly got: Received[]
  /** The next answers' status, or that there is none; 200 when nothing more is planned. */
  readonly plan: (number | 'none')[]
  /** What is answered when nothing is planned. */
  usually: number
  /** Nothing listens any more, and again at the same port. */
  down(): Promise<void>
  up(): Promise<void>
}

/** Somebody else's server that takes webhooks. */
export async function startReceiver(t: Test): Promise<Receiver> {
  let server: Server | undefined
  let port = 0
  const handle = async (request: AsyncIterable<unknown>, path: string, response: ServerResponse) => {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const { headers } = response.req
    const body: unknown = JSON.parse(text)
    receiver.got.push({ path, headers, text, body, id: String(headers['webhook-id']) })
    const answer = receiver.plan.shift() ?? receiver.usually
    if (answer !== 'none') response.writeHead(answer).end(answer === 403 ? 'not yet' : '')
  }
  async function up(): Promise<void> {
    const created = createServer((request, response) => void handle(request, request.url ?? '', response))
    await new Promise<void>(resolve => created.listen(port, '127.0.0.1', resolve))
    port = (created.address() as AddressInfo).port
    server = created
  }
  async function down(): Promise<void> {
    const closing = server
    server = undefined
    closing?.closeAllConnections()
    if (closing) await new Promise(resolve => closing.close(resolve))
  }
  await up()
  t.teardown(down)
  const receiver: Receiver = { url: `http://127.0.0.1:${port}`, got: [], plan: [], usually: 200, down, up }
  return receiver
}

/** As docs/alerts.md tells receivers to verify, in the words of node:crypto. */
export function isSigned({ headers, text, id }: Received, secret: string): boolean {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const signed = `${id}.${String(headers['webhook-timestamp'])}.${text}`
  const expected = createHmac('sha256', key).update(signed).digest('base64')
  return headers['webhook-signature'] === `v1,${expected}`
}
