import { Agent, createServer } from 'node:http'
import httpProxy from 'http-proxy'

// http-proxy with connections kept open, which it does not do by itself: a peer of the bench.
// node bench/gateway/http-proxy-proxy.ts PORT UPSTREAM

const [, , port = '0', upstream = ''] = process.argv
const proxy = httpProxy.createProxyServer({
  target: upstream,
  agent: new Agent({ keepAlive: true, maxSockets: 128 }),
})
createServer((request, response) => proxy.web(request, response, {}, () => response.destroy())).listen(
  Number(port),
  '127.0.0.1',
)
