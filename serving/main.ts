import { z } from 'zod'
import { systemClock } from '../lib/clock.ts'
import { readEnv } from '../lib/env.ts'
import { createLog } from '../lib/log.ts'
import { describeProblem } from '../lib/problem.ts'
import { stopOnSignals } from '../lib/shutdown.ts'
import { createApp } from './app.ts'
import { namesCommand } from './custom/custom-version.ts'
import { readDrill } from './manifest.ts'
import { MemoryLimitExceeded } from './memory-limit.ts'
import { createModelServer } from './model-server.ts'
import { parseServeOptions } from './options.ts'
import { findSamples } from './samples.ts'

const STOP_LIMIT_MS = 20_000

async function main(): Promise<void> {
  const options = parseServeOptions(process.argv.slice(2))
  const env = readEnv(
    { WEIR_STATE: z.string().optional(), WEIR_LOG_LEVEL: z.string().default('info') },
    process.env,
  )
  const log = createLog('serving', env.WEIR_LOG_LEVEL)
  const { model: modelPath, samples: samplesDir } = options
  if (samplesDir !== undefined) await findSamples(modelPath, samplesDir) // told now rather than by the first /test
  const drill = options.drill ?? (await readDrill(modelPath))
  const { app, server } = await open()

  async function open() {
    const shared = { options, clock: systemClock, log }
    const appOptions = { modelPath, samplesDir, drill, clock: systemClock, log }
    if (await namesCommand(modelPath)) {
      // what passes requests on takes 10 MB, which a model has better uses for
      const { createCustomServer } = await import('./custom/custom-server.ts')
      const { createCustomApp } = await import('./custom/custom-app.ts')
      const server = createCustomServer(shared)
      return { server, app: await createCustomApp({ server, ...appOptions }) }
    }
    const server = createModelServer({ ...shared, onBroken: endBroken })
    return { server, app: await createApp({ server, ...appOptions }) }
  }

  async function stop(reason: string): Promise<void> {
    log.info({ reason }, 'draining')
    server.drain()
    await app.close() // answers what it has taken
    await server.close()
    log.info('stopped')
  }

  // A native library may be why a thread died, and memory that leaks does so again: the supervisor's fresh process is safer
  // than a new thread in this one. What other threads compute is still answered.
  function endBroken(cause: Error): void {
    const exit = cause instanceof MemoryLimitExceeded ? cause.exit : undefined
    log.fatal({ err: cause, exit }, `ending: ${cause.message}`)
    setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref()
    stop('broken').then(
      () => process.exit(1),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed')
        process.exit(1)
      },
    )
  }

  stopOnSignals({ log, stop, limitMs: STOP_LIMIT_MS, ownerPid: options['owner-pid'] })
  const address = await app.listen({ host: options.host, port: options.port })
  log.info({ address, model: modelPath }, 'listening')
  if (drill) log.warn({ drill }, 'a drill is on: some answers fail or are slow on purpose')
  await server.load()
}

await main().catch((error: unknown) => {
  process.stderr.write(`weir serve: ${describeProblem(error)}\n`)
  process.exit(1)
})
