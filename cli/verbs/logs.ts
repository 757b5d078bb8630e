import type { Command } from 'commander'
import type { LogLine } from '../../contract/logs.ts'
import { WeirError } from '../../contract/errors.ts'
import { systemClock } from '../../lib/clock.ts'
import { connectController, print, withConnection, type ConnectOptions } from '../connect.ts'
import { patiently } from '../patiently.ts'

interface LogsOptions extends ConnectOptions {
  readonly follow: boolean
  readonly lines: string
}

const FOLLOW_EVERY_MS = 500
/** So long an answer that is under way may take to be shown yet. */
const ANSWER_LIMIT_MS = 500
const MAX_LINES = 10_000

export function addLogs(program: Command): void {
  withConnection(program.command('logs <model/version> [version]'))
    .description(
      'what the processes of a version wrote, each line with its process; also of those that are no more',
    )
    .option('--follow', 'go on as lines come, until Ctrl-C', false)
    .option('--lines <n>', 'how many of the last lines', '100')
    .action(showLogs)
}

async function showLogs(of: string, second: string | undefined, options: LogsOptions): Promise<void> {
  const [model = '', version] = second === undefined ? of.split('/') : [of, second]
  if (!version) throw new WeirError('invalid_setting', `say which version, such as ${model}/2`)
  const lines = linesOf(options.lines)
  const client = connectController(options)
  const stop = stopOnInterrupt(options)
  let page = await client.logs(model, version, { lines })
  show(page.items, options)
  if (page.items.length === 0) process.stderr.write(`${model}/${version} has written nothing yet\n`)
  while (options.follow && !stop.aborted) {
    await systemClock.sleep(FOLLOW_EVERY_MS, stop)
    if (stop.aborted) return
    const { cursor: after } = page
    page = await patiently(() => client.logs(model, version, { after }))
    show(page.items, options)
  }
}

function linesOf(text: string): number {
  const lines = Number(text)
  if (Number.isInteger(lines) && lines >= 1 && lines <= MAX_LINES) return lines
  throw new WeirError('invalid_setting', `--lines must be 1 to ${MAX_LINES}, not "${text}"`)
}

function show(items: readonly LogLine[], { json }: LogsOptions): void {
  for (const line of items) print(json ? JSON.stringify(line) : `${line.instance} | ${line.text}`)
}

/** Ctrl-C is how following ends, and so is a reader such as `head` that has enough. */
function stopOnInterrupt({ follow }: LogsOptions): AbortSignal {
  const stop = new AbortController()
  if (!follow) return stop.signal
  const end = () => {
    stop.abort()
    setTimeout(() => process.exit(0), ANSWER_LIMIT_MS).unref() // a controller that is away is not waited for
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    end()
  })
  return stop.signal
}
