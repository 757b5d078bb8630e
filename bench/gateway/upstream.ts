import { createServer } from 'node:http'

// A model server that costs nothing: node bench/gateway/upstream.ts PORT

const ANSWER = JSON.stringify({
  label: 'Bread',
  class_index: 0,
  confidence: 0.9,
  top_k: [{ label: 'Bread', confidence: 0.9 }],
  model: 'food11',
  model_version: '1',
})

const server = createServer((request, response) => {
  request
    .resume()
    .on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(ANSWER))
})
server.keepAliveTimeout = 60_000
server.listen(Number(process.argv[2]), '127.0.0.1')
