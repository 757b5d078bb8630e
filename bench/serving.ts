import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { readModel } from '../serving/model.ts'
import { measureLimit } from './serving/limit.ts'
import { findPhotos } from './serving/photos.ts'
import { startServer, type ServerProcess } from './serving/server-process.ts'

// npm run bench -- serving [--model DIR] [--photos DIR] [--seconds N] [--load 100x10]: throughput and latency of the model
// server beside the limit of the same threads without HTTP. --load CONNECTIONSxSECONDS runs that load alone. The load
// generator shares the cores with the server, so CPU per prediction says more than the rate.

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/food11/1' },
    photos: { type: 'string', default: 'models/food11/samples' },
    seconds: { type: 'string', default: '8' },
    workers: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    load: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const workers = Number(values.workers)

interface Measured {
  readonly connections: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuMs: number
  readonly other: number
  /** The longest that the HTTP thread was held up, and how long at the 99th percentile. */
  readonly heldUpMs: { readonly p99: number; readonly max: number }
}

const photos = await Promise.all((await findPhotos(values.photos)).map(path => readFile(path)))
const server = await startServer(values.model, workers)
console.log(
  `${values.model}, ${workers} workers, ${photos.length} photos; ready in ${server.readyMs.toFixed(0)} ms`,
)
if (values.load === undefined) await compareWithLimit()
else await loadAlone(values.load)

async function compareWithLimit(): Promise<void> {
  printHead()
  for (const connections of [1, 8, 64]) print(await measure(server, connections, seconds))
  await end()
  const model = await readModel(values.model)
  const limit = await measureLimit({ model, photos, durationMs: seconds * 1000 }, workers)
  console.log(
    `without HTTP, same threads: ${limit.perSecond.toFixed(0)} a second, ${limit.cpuMs.toFixed(1)} ms CPU each`,
  )
}

async function loadAlone(load: string): Promise<void> {
  const [connections, duration] = load.split('x').map(Number)
  if (!connections || !duration) throw new Error('--load takes CONNECTIONSxSECONDS, such as 100x10')
  printHead()
  print(await measure(server, connections, duration))
  await end()
}

async function measure(target: ServerProcess, connections: number, duration: number): Promise<Measured> {
  const before = await target.stats()
  const result = await autocannon({
    url: `${target.url}/predict`,
    connections,
    duration,
    requests: photos.map(photo => ({
      method: 'POST',
      headers: { 'content-type': 'image/jpeg' },
      body: photo,
    })),
  })
  const after = await target.stats()
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds
  return {
    connections,
    perSecond: result['2xx'] / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    cpuMs: (1000 * cpuSeconds) / result['2xx'],
    other: result.non2xx + result.errors,
    heldUpMs: { p99: after.eventLoopP99Ms, max: after.eventLoopMaxMs },
  }
}

function printHead(): void {
  console.log(
    'connections   a second   p50 ms   p99 ms   CPU ms each   other than 200   event loop held up ms, p99 and most',
  )
}

function print({ connections, perSecond, p50Ms, p99Ms, cpuMs, other, heldUpMs }: Measured): void {
  const cells = [
    String(connections).padStart(11),
    perSecond.toFixed(0).padStart(10),
    p50Ms.toFixed(0).padStart(8),
    p99Ms.toFixed(0).padStart(8),
    cpuMs.toFixed(1).padStart(13),
    String(other).padStart(16),
    `${heldUpMs.p99.toFixed(1)}, ${heldUpMs.max.toFixed(1)}`.padStart(16),
  ]
  console.log(cells.join(' '))
}

async function end(): Promise<void> {
  const { residentMiB } = await server.stats()
  const code = await server.stop()
  console.log(`resident ${residentMiB.toFixed(0)} MiB; stopped with exit code ${code}`)
}
