import { createLog } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { ToPrimary, ToWorker } from '../messages.ts'
import { createWorker, type Worker } from './worker.ts'

// A worker process. The primary starts it, tells it what to do over IPC, and decides when it ends.

const send = (message: ToPrimary) => {
  if (process.connected) process.send?.(message)
}

let worker: Promise<Worker | undefined> | undefined

process.on('message', (message: ToWorker) => {
  if (message.type === 'start') worker ??= start(message)
  else void receive(message)
})
process.on('disconnect', () => process.exit()) // the primary is gone: nobody would count or steer what this one does
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined) // Ctrl-C reaches the whole group

/** Messages wait for the start to be done. One that came before it is part of what the start says. */
async function receive(message: Exclude<ToWorker, { type: 'start' }>): Promise<void> {
  const running = await worker
  await running?.receive(message)
  if (message.type === 'drain') process.disconnect()
}

async function start(message: Extract<ToWorker, { type: 'start' }>): Promise<Worker | undefined> {
  const log = createLog('gateway-worker', message.settings.logLevel)
  try {
    const started = await createWorker({ start: message, log, send })
    send({ type: 'ready', revision: message.revision })
    return started
  } catch (error) {
    send({ type: 'failed', problem: describeProblem(error) })
    process.exitCode = 1
    process.disconnect() // what was sent goes out first; the primary starts another
    return undefined
  }
}
