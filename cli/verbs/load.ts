import type { Command } from 'commander'
import { durationMs } from '../../contract/units.ts'
import { WeirError } from '../../contract/errors.ts'
import { systemClock } from '../../lib/clock.ts'
import { parseNumber } from '../assignments.ts'
import { print, printJson, requireUrl } from '../connect.ts'
import { quantileOf, readPhotos, startSteadyLoad, type LoadResult } from '../load/steady-load.ts'

interface Options {
  readonly url: string
  readonly photos: string
  readonly rate: string
  readonly duration: string
  readonly users: string
  readonly json: boolean
}

const MAX_RATE = 10_000
const MAX_DURATION_MS = 24 * 3_600_000

export function addLoad(program: Command): void {
  program
    .command('load')
    .description('send photos at a steady rate, as many clients would')
    .option('--url <url>', 'public address of the gateway', 'http://127.0.0.1:8080')
    .option('--photos <dir>', 'photos to send in turn', 'models/food11/samples')
    .option('--rate <n>', 'requests a second', '20')
    .option('--duration <time>', 'such as 30s or 5m', '30s')
    .option('--users <n>', 'users in turn as x-user-id; 0 sends none', '0')
    .option('--json', 'print JSON', false)
    .action(load)
}

async function load({ url, photos, rate, duration, users, json }: Options): Promise<void> {
  const parsed = durationMs.safeParse(duration)
  if (!parsed.success || parsed.data > MAX_DURATION_MS)
    throw new WeirError('invalid_setting', `--duration "${duration}" must be a time such as 30s, at most 24h`)
  const requestsPerSecond = parseNumber(rate, '--rate')
  if (requestsPerSecond <= 0 || requestsPerSecond > MAX_RATE)
    throw new WeirError('invalid_setting', `--rate must be above 0 and at most ${MAX_RATE}`)
  const running = startSteadyLoad({
    url: requireUrl(url, '--url'),
    photos: await readPhotos(photos),
    requestsPerSecond,
    users: parseNumber(users, '--users'),
  })
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  await systemClock.sleep(parsed.data, stop.signal)
  const result = await running.stop()
  if (json) printJson(result)
  else print(describe(result))
  process.exitCode = result.failed === 0 ? 0 : 1
}

function describe({ sent, failed, byVariant, fallbacks, recentMs, firstFailure }: LoadResult): string {
  const split = Object.entries(byVariant).map(
    ([variant, count]) => `${variant} ${count} (${((100 * count) / Math.max(1, sent)).toFixed(1)} %)`,
  )
  if (split.length === 0)
    return `${sent} sent, ${failed} failed: nothing answered${firstFailure === null ? '' : ` (${firstFailure})`}`
  return [
    `${sent} sent, ${failed} failed${firstFailure === null ? '' : ` (first: ${firstFailure})`}`,
    `answered by ${split.join(', ')}${fallbacks > 0 ? `; ${fallbacks} after another variant failed` : ''}`,
    `the last ${recentMs.length}: p50 ${quantileOf(recentMs, 0.5).toFixed(0)} ms, p95 ${quantileOf(recentMs, 0.95).toFixed(0)} ms`,
  ].join('\n')
}
