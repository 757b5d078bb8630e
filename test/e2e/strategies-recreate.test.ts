import t from 'tap'
import { processesOf } from '../helpers/processes.ts'
import { until } from '../helpers/until.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// Recreate on real processes: clients are told before, answered 503 with Retry-After in between, and the gap is measured.

const stack = await startRollouts(t)
const strategy = { recreate: { announce: '4s', notice: 'a new version is coming' } }

t.test('clients are told, then asked to come back, and then the new version answers', async t => {
  const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy }))
  await until('the notice', 10_000, async () => (await ask()).notice === 'a new version is coming')
  const page = await fetch(`${stack.publicUrl}/`)
  t.match(await page.text(), /<title>What is in this photo\?<\/title>/)
  t.equal(page.headers.get('x-weir-notice'), 'a new version is coming', 'with the page that people open')
  const seen = new Map<number, string | null>()
  let most = 0
  const result = await until('its end', 90_000, async () => {
    const { status, retryAfter } = await ask()
    seen.set(status, retryAfter)
    most = Math.max(most, (await processesOf(stack.pid, '/food11/1 ')).length)
    const rollout = await stack.controller.rollout(name)
    return rollout.endedAt !== null && rollout
  })
  t.match(result, { phase: 'Promoted', gapMs: Number }, result.message)
  t.match(seen.get(503), /^\d+$/, 'Retry-After')
  t.same([...seen.keys()].toSorted(), [200, 503], 'and nothing else')
  t.equal(await stack.versionOf('stable'), '2')
  const after = await ask()
  t.match(after, { status: 200, notice: null })
  t.comment(`closed for ${result.gapMs} ms`)
  t.equal(most, 1)
  t.same(await processesOf(stack.pid, '/food11/1 '), [], 'version 1 does not run any more')
})

async function ask() {
  const answer = await fetch(`${stack.publicUrl}/version`)
  await answer.arrayBuffer()
  const { headers, status } = answer
  return { status, notice: headers.get('x-weir-notice'), retryAfter: headers.get('retry-after') }
}
