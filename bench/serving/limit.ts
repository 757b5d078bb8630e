import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LimitJob } from './limit-worker.ts'

export interface Limit {
  readonly perSecond: number
  readonly cpuMs: number
}

/** What the same threads reach when nothing but decoding and inference happens in them. */
export async function measureLimit(job: LimitJob, workers: number): Promise<Limit> {
  const cpuBefore = process.cpuUsage()
  const results = await Promise.all(
    Array.from({ length: workers }, async () => {
      const worker = new Worker(new URL('./limit-worker.ts', import.meta.url), { workerData: job })
      const [result] = (await once(worker, 'message')) as [{ predictions: number; ms: number }]
      return result
    }),
  )
  const { user, system } = process.cpuUsage(cpuBefore)
  const predictions = results.reduce((sum, result) => sum + result.predictions, 0)
  const perSecond = results.reduce((sum, result) => sum + (1000 * result.predictions) / result.ms, 0)
  return { perSecond, cpuMs: (user + system) / 1000 / predictions }
}
