import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A server that answers each request (of one piece) with bytes, and keeps its connections for the test to look at. */
export async function rawUpstream(t: Test, onRequest: (socket: Socket, text: string) => void) {
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', data => onRequest(socket, data.toString('latin1')))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets }
}
