import { availableParallelism, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { readModel } from '../serving/model.ts'
import { ourContenders, pythonContenders, type Contender, type Precision } from './serving/contenders.ts'
import { createFigures } from './serving/figures.ts'
import { measureLimit } from './serving/limit.ts'
import { runAutocannon } from './serving/load.ts'
import { FULL_LOAD_CONNECTIONS, loadAndCount, measureContender, readEventLoop } from './serving/measure.ts'
import { formOf, readPhotos } from './serving/photos.ts'
import { readProcessTree } from './serving/process-tree.ts'
import { findPythonEnvironment } from './serving/python-environment.ts'
import { printFigures, printVerdicts } from './serving/report.ts'
import { startServer } from './serving/server-process.ts'
import { judge, JUDGED_CONNECTIONS, keyOf, LIMIT } from './serving/targets.ts'

// npm run bench -- serving [--short] [--seconds N] [--rounds N] [--load 100x10] …: the model server beside the limit of the
// same threads without HTTP, Flask with PyTorch, FastAPI with onnxruntime and LitServe, on the same photos, cores and models.
// Every contender is started anew in every round, the order turned round, and medians are compared. The load generator shares
// the cores with the servers, so processor time per prediction says more than the rate. --short: one round, 8 connections, and
// the peers only where their packages are installed. --load CONNECTIONSxSECONDS: that load alone, from autocannon.

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/food11/1' },
    'int8-model': { type: 'string', default: 'models/food11/2' },
    photos: { type: 'string', default: 'models/food11/samples' },
    /** The photos' long side; 0 leaves them as they are. */
    pixels: { type: 'string', default: '512' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    workers: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    short: { type: 'boolean', default: false },
    load: { type: 'string' },
  },
})
/** The rate at which latencies are compared, of the limit's: what the slowest of the peers still reaches. */
const PACE = 0.35

const workers = Number(values.workers)
const models = { fp32: values.model, int8: values['int8-model'] }
const photos = await readPhotos(values.photos, Number(values.pixels))
const forms = photos.map(formOf)

if (values.load === undefined) await compare()
else await loadAlone(values.load)

async function compare(): Promise<void> {
  const seconds = Number(values.seconds ?? (values.short ? 2 : 5))
  const rounds = Number(values.rounds ?? (values.short ? 1 : 3))
  const connections = values.short ? [JUDGED_CONNECTIONS] : [1, JUDGED_CONNECTIONS, FULL_LOAD_CONNECTIONS]
  const contenders = [...ourContenders({ models, workers }), ...(await findPeers())]
  const bytes = photos.reduce((sum, photo) => sum + photo.byteLength, 0) / photos.length
  console.log(
    `${photos.length} photos of ${(bytes / 1000).toFixed(0)} kB on average, ${availableParallelism()} cores, ` +
      `${rounds} rounds of ${seconds} s; load average before: ${loadavg()[0]?.toFixed(1)}`,
  )
  for (const { name, precision, setting } of contenders) console.log(`${keyOf(name, precision)}: ${setting}`)
  const figures = createFigures()
  for (let round = 0; round < rounds; round++) {
    console.log(`round ${round + 1}`)
    const paces = { fp32: await addLimit('fp32'), int8: await addLimit('int8') }
    for (const contender of round % 2 ? contenders.toReversed() : contenders) {
      const pacedPerSecond = values.short ? undefined : paces[contender.precision]
      const metrics = await measureContender(contender, { forms, connections, seconds, pacedPerSecond })
      figures.add(keyOf(contender.name, contender.precision), metrics)
    }
  }
  printFigures(figures, contenders, connections)
  printVerdicts(judge(figures))

  /** Returns the rate at which latencies are compared. */
  async function addLimit(precision: Precision): Promise<number> {
    const job = { model: await readModel(models[precision]), photos, durationMs: seconds * 1000 }
    const { perSecond, cpuMs } = await measureLimit(job, workers)
    const at = `at ${JUDGED_CONNECTIONS}`
    figures.add(keyOf(LIMIT, precision), { [`rate ${at}`]: perSecond, [`cpu ${at}`]: cpuMs })
    return Math.max(1, Math.round(PACE * perSecond))
  }
}

async function findPeers(): Promise<Contender[]> {
  const python = await findPythonEnvironment({ install: !values.short })
  if (python.kind === 'ready') return pythonContenders(python.bin, { models, workers })
  console.log(`skipped: Flask, FastAPI and LitServe; ${python.reason}`)
  return []
}

/** Exit code 1 where anything but 200 was answered. */
async function loadAlone(load: string): Promise<void> {
  const [connections, seconds] = load.split('x').map(Number)
  if (!connections || !seconds) throw new Error('--load takes CONNECTIONSxSECONDS, such as 100x10')
  const [ours] = ourContenders({ models, workers })
  if (!ours) throw new Error('there is no server of ours')
  const server = await startServer(ours.command)
  await readEventLoop(server.url)
  const { result, cpuMs } = await loadAndCount(
    server,
    { url: `${server.url}/predict`, forms, connections, seconds },
    runAutocannon,
  )
  const { busyMs, lateMs } = await readEventLoop(server.url)
  const { residentMiB } = readProcessTree(server.pid)
  const code = await server.stop()
  const { answered, p50Ms, p99Ms, other } = result
  console.log(
    `${connections} connections, ${seconds} s: ${answered} answered, ${(answered / result.seconds).toFixed(1)} a second, ` +
      `p50 ${p50Ms} ms, p99 ${p99Ms} ms, ${cpuMs.toFixed(1)} ms CPU each, ${other} other than 200`,
  )
  console.log(
    `ready in ${server.readyMs.toFixed(0)} ms; HTTP thread computed ${busyMs.toFixed(1)} ms in one go at most and came late by ${lateMs.toFixed(1)} at p99; ` +
      `${residentMiB.toFixed(0)} MiB resident; exit code ${code}`,
  )
  if (other > 0 || answered === 0 || code !== 0) process.exitCode = 1
}
