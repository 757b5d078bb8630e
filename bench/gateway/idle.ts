import { connect, type Socket } from 'node:net'
import { pause, type Bench, type Target } from './bench.ts'
import { KB_1, measureThroughput } from './load.ts'
import { startPeers, stopProxies, type Proxy } from './peers.ts'
import { table } from './table.ts'
import { residentBytes } from './usage.ts'
import { startWeir } from './weir.ts'

const CONNECTIONS = 2000
const CONNECTIONS_IN_SHORT = 500
const AT_ONCE = 50
const SETTLE_MS = 1000

/** Memory that a connection holds between requests: each has had one answer and stays open. */
export async function measureIdle(bench: Bench): Promise<Target[]> {
  const count = bench.short ? CONNECTIONS_IN_SHORT : CONNECTIONS
  const proxies: Proxy[] = [await startWeir(bench)]
  if (!bench.short) proxies.push(...(await startPeers(bench)))
  const rows: [name: string, kib: number][] = []
  for (const proxy of proxies) rows.push([proxy.name, await kibPerConnection(bench, proxy, count)])
  await stopProxies(bench, proxies)
  bench.print(
    table(
      [`${count} idle connections`, 'resident KiB each'],
      rows.map(([name, kib]) => [name, kib.toFixed(1)]),
    ),
  )
  const ours = rows.find(([name]) => name === 'weir')?.[1] ?? Number.NaN
  return [{ name: 'memory per idle connection is stated', reached: `${ours.toFixed(1)} KiB`, met: ours > 0 }]
}

async function kibPerConnection(bench: Bench, proxy: Proxy, count: number): Promise<number> {
  await measureThroughput(bench, proxy, KB_1) // or memory that any first request takes would count
  await pause(SETTLE_MS)
  const before = residentBytes(proxy.pid)
  const sockets: Socket[] = []
  while (sockets.length < count)
    sockets.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => openIdle(proxy)))))
  await pause(SETTLE_MS)
  const after = residentBytes(proxy.pid)
  for (const socket of sockets) socket.destroy()
  return (after - before) / 1024 / count
}

/** A connection that had an answer. */
function openIdle({ url }: Proxy): Promise<Socket> {
  const { hostname, port, host } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    socket.once('error', reject)
    socket.once('data', () => resolve(socket))
    socket.write(`POST /x HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0\r\n\r\n`)
  })
}
