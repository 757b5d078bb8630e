import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LimitJob } from './limit-worker.ts'

export interface Limit {
  readonly perSecond: number
  readonly cpuMs: number
}

/** What the same threads reach when nothing but decoding and inference happens in them; their start is not counted. */
export async function measureLimit(job: LimitJob, workers: number): Promise<Limit> {
  const warm = await Promise.all(Array.from({ length: workers }, () => startWorker(job)))
  const cpuBefore = process.cpuUsage()
  const results = await Promise.all(warm.map(runWorker))
  const { user, system } = process.cpuUsage(cpuBefore)
  const predictions = results.reduce((sum, result) => sum + result.predictions, 0)
  const perSecond = results.reduce((sum, result) => sum + (1000 * result.predictions) / result.ms, 0)
  return { perSecond, cpuMs: (user + system) / 1000 / predictions }
}

async function startWorker(job: LimitJob): Promise<Worker> {
  const worker = new Worker(new URL('./limit-worker.ts', import.meta.url), { workerData: job })
  await once(worker, 'message') // it is warm
  return worker
}

async function runWorker(worker: Worker): Promise<{ predictions: number; ms: number }> {
  const measured = once(worker, 'message')
  worker.postMessage('go', [])
  const [result] = (await measured) as [{ predictions: number; ms: number }]
  return result
}
