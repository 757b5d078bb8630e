import t, { type Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld, type Control } from './control.ts'

/** What the controller sends, event by event. */
async function listen(t: Test, { url }: Control, headers: Record<string, string> = {}) {
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const response = await fetch(`${url}/v1/events`, { headers, signal: stop.signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return {
    response,
    /** Null at the end of all events. */
    async next() {
      while (!text.includes('\n\n')) {
        const part = await reader?.read()
        if (part === undefined || part.done) return null
        text += part.value
      }
      const [event = '', ...rest] = text.split('\n\n')
      text = rest.join('\n\n')
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(event)?.[1]
      return { event: field('event'), id: field('id'), data: JSON.parse(field('data') ?? 'null') as unknown }
    },
  }
}

const spec = { strategy: { canary: { steps: [{ approval: {} }, { setWeight: 10 }] } } }

t.test('decisions and states are told as they come, and who comes back misses none', async t => {
  const world = await startWorld(t)
  const control = await startControl(t, world)
  const events = await listen(t, control)
  t.equal(events.response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const { name } = await control.client.startRollout(rolloutOf(spec))
  t.match(await events.next(), { event: 'audit', id: '1', data: { action: 'start', subject: name } })
  t.match(await events.next(), { event: 'rollout', data: { name, phase: 'Pending' } })
  await pass(world, control, { name, seconds: 3, requestsPerSecond: 0 })
  const missed = await listen(t, control, { 'last-event-id': '1' })
  const ids: unknown[] = []
  for (let event = await missed.next(); event?.event === 'audit'; event = await missed.next())
    ids.push(event.id)
  const records = await control.client.audit()
  t.same(
    ids,
    records
      .map(({ seq }) => String(seq))
      .toReversed()
      .slice(1),
  )
})

t.test('a listener that names no event is refused, and closing the controller ends the others', async t => {
  const control = await startControl(t, await startWorld(t))
  t.equal((await listen(t, control, { 'last-event-id': 'x' })).response.status, 400)
  const events = await listen(t, control)
  await control.stop()
  t.equal(await events.next(), null)
})
