import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { parseExposition } from '../lib/exposition.ts'
import { findPhotos } from './serving/photos.ts'
import { startServer } from './serving/server-process.ts'
import { fitLine } from './soak/line.ts'

// npm run bench -- soak [--requests 50000] [--model DIR] [--photos DIR]: the memory of `weir serve` with two threads, as users
// start it, while it answers photos of 512 pixels, then of mixed sizes, then of 12 megapixels; and for how long the HTTP thread
// was held up meanwhile. Ends with 1 when memory grows or is more than 256 MiB with the first. --requests 2000 takes a minute.

const LIMIT_MIB = 256
const CONNECTIONS = 8
const WORKERS = 2
const SAMPLES = 100
const MIXED_LONG_SIDES = [96, 256, 512, 800, 1024, 1600]

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '50000' },
    model: { type: 'string', default: 'models/food11/1' },
    photos: { type: 'string', default: 'models/food11/samples' },
  },
})
const requests = Number(values.requests)
const originals = await Promise.all((await findPhotos(values.photos)).map(path => readFile(path)))
const plain = await resized([512])
const mixed = await resized(MIXED_LONG_SIDES)
const large = await Promise.all(originals.slice(0, 4).map(photo => enlarge(photo, 4032, 3024)))

const cli = fileURLToPath(new URL('../cli/bin.js', import.meta.url))
const server = await startServer(port => ({
  file: process.execPath,
  args: [cli, 'serve', '--model', values.model, '--port', String(port), '--workers', String(WORKERS)],
  healthPath: '/readyz',
}))
try {
  await soak(Math.max(500, requests / 25), plain) // what is allocated once, and compiled
  const small = await soak(Math.max(500, requests / 10), plain)
  report('512 pixels', small)
  await soak(requests / 10, mixed) // the largest buffers of each thread
  const mix = await soak(requests, mixed)
  report('mixed sizes', mix)
  const { perStep, noise } = fitLine(mix.residentMiB)
  const growth = perStep * mix.residentMiB.length
  console.log(
    `growth over the ${requests} requests of mixed sizes: ${growth.toFixed(1)} MiB by the fitted line, ` +
      `${((10_000 * growth) / requests).toFixed(2)} per 10,000; the samples scatter by ${noise.toFixed(1)} MiB around it`,
  )
  console.log(`mean of each tenth, MiB: ${tenths(mix.residentMiB).join(' ')}`)
  const big = await soak(Math.max(100, requests / 250), large)
  report('12 megapixels', big)
  const after = await soak(500, plain)
  report('512 pixels again', after)
  console.log(
    `a photo of 12 megapixels adds ${(most(big) - most(small)).toFixed(0)} MiB at most, with ${WORKERS} threads`,
  )
  if (most(small) > LIMIT_MIB)
    fail(`${most(small).toFixed(0)} MiB with photos of 512 pixels, over ${LIMIT_MIB}`)
  if (growth > 2 * noise) fail('memory grows')
} finally {
  const code = await server.stop()
  if (code !== 0) fail(`the server stopped with exit code ${code}`)
}

interface Soaked {
  readonly requests: number
  readonly residentMiB: readonly number[]
  readonly seconds: number
  readonly busyMs: number
  readonly lateMs: number
  readonly healthMs: readonly number[]
}

/** Sends photos in turn over all connections, and looks at the server `SAMPLES` times meanwhile. */
async function soak(count: number, photos: readonly Uint8Array[]): Promise<Soaked> {
  const residentMiB: number[] = []
  const healthMs: number[] = []
  let [sent, busyMs, lateMs] = [0, 0, 0]
  const begun = performance.now()
  async function sendInTurn(): Promise<void> {
    while (sent < count) {
      const number = sent++
      if (number % Math.ceil(count / SAMPLES) === 0) await look()
      await predict(photos[number % photos.length] ?? new Uint8Array())
    }
  }
  async function look(): Promise<void> {
    const asked = performance.now()
    await (await fetch(`${server.url}/livez`)).text()
    healthMs.push(performance.now() - asked)
    const samples = parseExposition(await (await fetch(`${server.url}/metrics`)).text())
    const value = (name: string, quantile?: string) =>
      samples.find(sample => sample.name === name && sample.labels['quantile'] === quantile)?.value ??
      Number.NaN
    residentMiB.push(value('process_resident_memory_bytes') / 2 ** 20)
    busyMs = Math.max(busyMs, 1000 * value('weir_serving_event_loop_busy_seconds', '1'))
    lateMs = Math.max(lateMs, 1000 * value('weir_serving_event_loop_delay_seconds', '1'))
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, sendInTurn))
  return {
    requests: count,
    residentMiB,
    seconds: (performance.now() - begun) / 1000,
    busyMs,
    lateMs,
    healthMs,
  }
}

async function predict(photo: Uint8Array): Promise<void> {
  const response = await fetch(`${server.url}/predict`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg' },
    body: new Blob([new Uint8Array(photo)]),
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status} ${text}`)
}

function report(what: string, { requests, seconds, residentMiB, busyMs, lateMs, healthMs }: Soaked): void {
  const mean = residentMiB.reduce((sum, value) => sum + value, 0) / residentMiB.length
  const sorted = healthMs.toSorted((a, b) => a - b)
  const health = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(1)
  console.log(
    `${what}: ${requests} requests, ${(requests / seconds).toFixed(0)} a second; resident ${mean.toFixed(0)} MiB, ` +
      `${Math.max(...residentMiB).toFixed(0)} at most; HTTP thread busy for ${busyMs.toFixed(1)} ms at most, ` +
      `late by ${lateMs.toFixed(1)}; health ${health(0.5)} ms, p99 ${health(0.99)}`,
  )
}

function tenths(values: readonly number[]): string[] {
  return Array.from({ length: 10 }, (_, tenth) => {
    const part = values.slice((tenth * values.length) / 10, ((tenth + 1) * values.length) / 10)
    return (part.reduce((sum, value) => sum + value, 0) / part.length).toFixed(1)
  })
}

function most({ residentMiB }: Soaked): number {
  return Math.max(...residentMiB)
}

function fail(why: string): void {
  console.log(`FAILED: ${why}`)
  process.exitCode = 1
}

async function resized(longSides: readonly number[]): Promise<Uint8Array[]> {
  const each = longSides.map(side => originals.map(photo => enlarge(photo, side, side)))
  return Promise.all(each.flat())
}

function enlarge(photo: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const fit = width === height ? 'inside' : 'fill'
  return sharp(photo).resize({ width, height, fit }).jpeg({ quality: 88 }).toBuffer()
}
