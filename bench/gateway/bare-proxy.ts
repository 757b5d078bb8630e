import { createServer } from 'node:http'
import { Pool, type Dispatcher } from 'undici'

// The least a proxy on this stack can do: node:http in front, undici behind, bytes streamed, no features. A peer of the bench:
// node bench/gateway/bare-proxy.ts PORT UPSTREAM

const [, , port = '0', upstream = ''] = process.argv
const pool = new Pool(upstream, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })

createServer((request, response) => {
  const headers = {
    'content-type': request.headers['content-type'],
    'content-length': request.headers['content-length'],
  }
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart: () => undefined,
    onResponseStart: (_, status, answerHeaders) => void response.writeHead(status, answerHeaders),
    onResponseData: (_, chunk) => void response.write(chunk),
    onResponseEnd: () => void response.end(),
    onResponseError: () => void response.destroy(),
  }
  const { method = 'GET', url = '/' } = request
  pool.dispatch({ method: method as Dispatcher.HttpMethod, path: url, headers, body: request }, handler)
}).listen(Number(port), '127.0.0.1')
