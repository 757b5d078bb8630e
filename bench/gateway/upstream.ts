import { createServer } from 'node:http'
import { PREDICTION } from './prediction.ts'

// A model server that costs little, where there is no nginx: node bench/gateway/upstream.ts PORT

const server = createServer((request, response) => {
  request
    .resume()
    .on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(PREDICTION))
})
server.keepAliveTimeout = 60_000
server.listen(Number(process.argv[2]), '127.0.0.1')
