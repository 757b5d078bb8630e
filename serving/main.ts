import { z } from 'zod'
import { systemClock } from '../lib/clock.ts'
import { readEnv } from '../lib/env.ts'
import { createLog } from '../lib/log.ts'
import { describeProblem } from '../lib/problem.ts'
import { stopOnSignals } from '../lib/shutdown.ts'
import { createApp } from './app.ts'
import { createModelServer } from './model-server.ts'
import { parseServeOptions } from './options.ts'

const STOP_LIMIT_MS = 20_000

async function main(): Promise<void> {
  const options = parseServeOptions(process.argv.slice(2))
  const env = readEnv(
    { WEIR_STATE: z.string().optional(), WEIR_LOG_LEVEL: z.string().default('info') },
    process.env,
  )
  const log = createLog('serving', env.WEIR_LOG_LEVEL)
  const server = createModelServer({ options, clock: systemClock, log, onLost: endAfterLoss })
  const { model: modelPath, samples: samplesDir, drill } = options
  const app = await createApp({ server, modelPath, samplesDir, drill, clock: systemClock, log })

  async function stop(reason: string): Promise<void> {
    log.info({ reason }, 'draining')
    server.drain()
    await app.close() // answers what it has taken
    await server.close()
    log.info('stopped')
  }

  // A thread that died took requests with it, and a native library may be the cause: the supervisor's fresh process is safer
  // than a new thread in this one.
  function endAfterLoss(cause: Error): void {
    log.fatal({ err: cause }, 'an inference thread is lost; ending')
    server.drain()
    process.exitCode = 1
    setTimeout(() => process.exit(1), 200).unref() // time for the failed answers and this line to leave
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
