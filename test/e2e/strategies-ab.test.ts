import { readPhotos } from '../../cli/load/steady-load.ts'
import t from 'tap'
import { rolloutOf, startRollouts } from './rollouts.ts'

// An A/B test on real processes: users pinned by x-user-id say whether a prediction was right, and the arm they like wins.

const stack = await startRollouts(t)
const photos = await readPhotos('models/food11/samples')
const LIMIT = 4000

t.test('users stay in their arm, tell what was right, and the better arm is promoted', async t => {
  const strategy = { ab: { weight: 50, goal: { label: 'correct' } } }
  const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy }))
  const arms = new Map<string, string>()
  let moved = 0
  for (let n = 0; n < LIMIT; n++) {
    const rollout = await stack.controller.rollout(name)
    if (rollout.phase !== 'Pending' && rollout.phase !== 'Progressing') break
    const user = `user-${n % 40}`
    const { variant, id, label } = await predict(user, n)
    if (rollout.step.name !== 'experiment') continue
    if ((arms.get(user) ?? variant) !== variant) moved++
    arms.set(user, variant)
    const likes = variant === 'candidate' ? n % 10 !== 0 : n % 10 < 3
    const truth = likes ? label : 'Something else'
    await post('/feedback', { prediction_id: id, label: truth })
  }
  const result = await stack.ended(name)
  t.match(result, { phase: 'Promoted' }, result.message)
  t.match(result.decision?.reason, /^users do better with it: candidate \d+ of \d+/)
  t.same(new Set(arms.values()), new Set(['stable', 'candidate']))
  t.equal(moved, 0, `of ${arms.size} users`)
  t.equal(await stack.versionOf('stable'), '2')
})

async function predict(user: string, n: number) {
  const photo = photos[n % photos.length] ?? Buffer.alloc(0)
  const answer = await fetch(`${stack.publicUrl}/predict`, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg', 'x-user-id': user },
    body: new Uint8Array(photo),
  })
  const { prediction_id: id, label } = (await answer.json()) as { prediction_id: string; label: string }
  return { variant: answer.headers.get('x-weir-variant') ?? 'none', id, label }
}

async function post(path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${stack.publicUrl}${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`)
}
