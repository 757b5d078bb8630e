import { connect } from 'node:net'
import { test } from 'tap'
import { sendRaw, startWorker, twoVariants, upstream } from './harness.ts'

// What a client may ask for, and in what order, before there is anything to forward.

const STABLE_ONLY = { weights: { stable: 100, candidate: 0 } }

async function startOne(t: Parameters<typeof startWorker>[0], url: string, settings: object = {}) {
  return startWorker(t, [twoVariants(url, url, { ...STABLE_ONLY, ...settings })])
}

test('a client that asks before it sends (Expect: 100-continue) is invited only to what will be taken', async t => {
  const { url } = await upstream(t, (request, response) => {
    request.resume().on('end', () => response.end(`expect: ${request.headers.expect}`))
  })
  const { port } = await startOne(t, url, { maxBodyBytes: 100 })
  const asking = (length: number) =>
    `POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`
  const invited = await askFirst(port, asking(5), 'abcde')
  t.match(invited, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*expect: undefined/)
  t.match(await askFirst(port, asking(101), ''), /^HTTP\/1\.1 413 /)
})

/** Sends the head, the body only once it is asked for, and gives back all that came. */
function askFirst(port: number, head: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(head))
    socket.on('data', (chunk: Buffer) => {
      if (text === '' && chunk.includes(' 100 ')) socket.write(body)
      text += chunk.toString('latin1')
      if (text.startsWith('HTTP/1.1 4')) socket.end()
    })
    socket.on('close', () => resolve(text))
    socket.on('error', reject)
  })
}

test('dot segments, plain or escaped, are resolved before a route is looked for, so none is reached by another name', async t => {
  const { url } = await upstream(t, (request, response) => response.end(request.url))
  const route = (name: string, pathPrefix: string) =>
    twoVariants(url, url, { ...STABLE_ONLY, name, match: { pathPrefix } })
  const { port } = await startWorker(t, [route('open', '/open'), route('inner', '/inner/only')])
  const paths: Record<string, string> = {
    '/open/a/../b?x=/../y': '/open/b?x=/../y',
    '/open/./a/.': '/open/a/',
    '/open/%2e%2E/inner/only/x': '/inner/only/x',
    '/open/.../.a': '/open/.../.a',
    '/../../open': '/open',
    '/open?q=/../x': '/open?q=/../x',
  }
  for (const [asked, reached] of Object.entries(paths)) {
    const answer = await sendRaw(port, `GET ${asked} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    t.equal(answer.split('\r\n\r\n')[1], reached, asked)
  }
  const outside = await sendRaw(port, 'GET /open/../x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(outside, /^HTTP\/1\.1 404 [\s\S]*route_not_found/)
})

test('a bad request behind a good one on a connection: the good one is answered first, whole, and then the bad one', async t => {
  const { url } = await upstream(t, (_, response) => {
    response.writeHead(200, { 'content-length': 10 }).write('first')
    setTimeout(() => response.end('-half'), 50)
  })
  const { port } = await startOne(t, url)
  const answer = await sendRaw(port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n')
  t.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nfirst-halfHTTP\/1\.1 400 [\s\S]*"code":"bad_request"/)
})
