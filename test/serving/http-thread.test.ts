// The HTTP thread takes bodies as they come and computes nothing, so health answers while every core computes and while bodies
// that take a tenth of a second to parse arrive. Bounds are wide: the cores belong to others as well. The figures are measured by
// `npm run bench -- soak`.
import { t } from 'tap'
import { writeModelFolder } from './model-folder.ts'
import { noisy } from './photos.ts'
import { LEAN, startProcess } from './start-process.ts'
import { ask, postBytes, postJson } from './start-server.ts'

const WARM_UP_MS = 1500
const LOOKS = 60
const HEALTH_LIMIT_MS = 250
const BUSY_P99_LIMIT_MS = 10
const BUSY_LIMIT_MS = 80

t.test('health answers at once under full load, and the thread is never held up for long', async t => {
  const model = await writeModelFolder(t.testdir())
  const { line } = startProcess(t, ['--model', model, '--port', '0', '--workers', '2'], LEAN)
  const { address: url = '' } = await line('listening')
  await line('ready')
  const photo = await noisy(1200, 900).jpeg().toBuffer()
  const large = `{"inputs":[${'1.5,'.repeat(900_000)}1]}` // parsed in a tenth of a second
  const readings = async () => {
    const { body } = await ask(`${url}/metrics`)
    const ms = (kind: string, quantile: string) =>
      1000 *
      Number(
        new RegExp(`^weir_serving_event_loop_${kind}_seconds\\{quantile="${quantile}"\\} (\\S+)$`, 'm').exec(
          body,
        )?.[1],
      )
    return {
      late: ms('delay', '1'),
      lateP99: ms('delay', '0.99'),
      busy: ms('busy', '1'),
      busyP99: ms('busy', '0.99'),
    }
  }

  let ended = false
  const statuses = new Set<number>()
  const repeat = async (send: () => Promise<{ status: number }>) => {
    while (!ended) statuses.add((await send()).status)
  }
  const load = [
    ...Array.from({ length: 6 }, () => repeat(() => postBytes(`${url}/predict`, photo, 'image/jpeg'))),
    repeat(() => postJson(`${url}/v1/models/colours:predict`, large)),
  ]
  await new Promise(resolve => setTimeout(resolve, WARM_UP_MS))
  await readings() // what loading and compiling took is not asked for
  const times: number[] = []
  for (let look = 0; look < LOOKS; look++) {
    const begun = performance.now()
    statuses.add((await ask(`${url}/livez`)).status)
    times.push(performance.now() - begun)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  ended = true
  await Promise.all(load)

  const [median = Number.NaN] = times.toSorted((a, b) => a - b).slice(LOOKS / 2)
  const { late, lateP99, busy, busyP99 } = await readings()
  t.comment(
    `health ${median} ms; late by ${lateP99} ms (p99), ${late} (most); busy for ${busyP99} (p99), ${busy} (most)`,
  )
  t.ok(median < HEALTH_LIMIT_MS, `${median} ms`)
  t.ok(busyP99 < BUSY_P99_LIMIT_MS, `${busyP99} ms`)
  t.ok(busy < BUSY_LIMIT_MS, `${busy} ms`)
  t.ok(late >= lateP99 && lateP99 >= 0)
  t.strictSame([...statuses].toSorted(), [200, 400])
})
