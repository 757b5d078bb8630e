import { createServer } from 'node:net'

// Takes everything and never answers: node bench/gateway/hanging-shadow.ts PORT

createServer(socket => socket.on('error', () => undefined).resume()).listen(
  Number(process.argv[2]),
  '127.0.0.1',
)
