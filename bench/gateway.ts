import { parseArgs } from 'node:util'
import { runLoad, type Load } from './gateway/load.ts'
import { startPeers, type Peer } from './gateway/peers.ts'
import { median, ratioTable } from './gateway/table.ts'

// npm run bench -- gateway [--seconds N] [--rounds N]: our gateway and its peers side by side: each proxy on core 0, load and
// upstream on core 1, 32 connections, the order turned round every round, medians. Load comes from wrk where it is installed
// (autocannon needs about as much CPU as a proxy, so it hides differences). On a machine with other work to do the ratios mean
// more than the rates, and neither means much.

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' } },
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)

const LOADS: readonly Load[] = [
  { name: '1 KB', bytes: 1024, path: '/x' },
  { name: '60 KB', bytes: 61_440, path: '/x' },
  { name: '60 KB to /predict', bytes: 61_440, path: '/predict' },
]

const { peers, stop } = await startPeers()
try {
  const rates = new Map<string, number[]>()
  for (let round = 0; round < rounds; round++) {
    for (const load of LOADS) {
      for (const peer of round % 2 ? peers.toReversed() : peers) await measure(peer, load, rates)
    }
  }
  const medians = new Map([...rates].map(([key, all]) => [key, median(all)]))
  process.stdout.write(
    ratioTable(
      peers.map(({ name }) => name),
      LOADS.map(({ name }) => name),
      medians,
    ),
  )
} finally {
  await stop()
}

async function measure(peer: Peer, load: Load, rates: Map<string, number[]>): Promise<void> {
  const key = `${peer.name} ${load.name}`
  const known = rates.get(key) ?? []
  if (known.length === 0) await runLoad(peer.url, load, seconds) // warm-up
  rates.set(key, [...known, await runLoad(peer.url, load, seconds)])
}
