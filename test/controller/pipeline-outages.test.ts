import t from 'tap'
import { WeirError } from '../../contract/errors.ts'
import type { Through } from './environment-world.ts'
import { gates, run, startControl, startWorld, stepOf } from './pipeline-control.ts'

// What is not there for a while is nothing that the version did: it was marked as failed, for ever.

type Test = Parameters<typeof startControl>[0]

/** Everything that is asked of one of them is refused while it is away. */
function mortal(has: 'markFailed' | 'patchRoute') {
  let isAway = false
  const through: Through = dependency => {
    if (!(has in dependency)) return dependency
    return new Proxy(dependency, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]): Promise<unknown> => {
          if (isAway) throw new WeirError('registry_unavailable', `${has} and all else of it is away`)
          return value.apply(target, args)
        }
      },
    })
  }
  return { through, goes: () => void (isAway = true), comes: () => void (isAway = false) }
}

async function startOne(t: Test, has: 'markFailed' | 'patchRoute') {
  const peer = mortal(has)
  const world = await startWorld(t, gates(0))
  const control = startControl(t, world, { through: peer.through })
  const look = async () => control.look().catch(() => undefined) // as the controller looks: the next one comes
  const until = async (what: string, reached: () => boolean) => {
    for (let looks = 0; !reached(); looks++) {
      if (looks > 400) throw new Error(`never: ${what}: ${control.pipelines.list()[0]?.message}`)
      await look()
    }
  }
  return { control, peer, look, until, id: await run(control, '2') }
}

t.test(
  'the gateway is away while a version is switched to: an error, and nothing is held against it',
  async t => {
    const { control, peer, look, until, id } = await startOne(t, 'patchRoute')
    await until('it is ready', () => control.environments.view('staging').deploying?.stage === 'switching')
    peer.goes()
    for (let looks = 0; looks < 40; looks++) await look() // of a second each
    t.match(control.environments.view('staging').deploying, { stage: 'returning' })
    peer.comes()
    await until('the end', () => control.pipelines.view(id).endedAt !== null)
    t.match(control.pipelines.view(id), { phase: 'Error', message: /was not seen within 30 s/ })
    t.match(await control.registry.get('food11', '2'), { failed: null })
    const again = await run(control, '2')
    await until('canary', () => stepOf(control, again, 'alias-canary')?.status === 'passed')
  },
)

t.test('the registry is away: the run waits, says so, and goes on', async t => {
  const { control, peer, look, until, id } = await startOne(t, 'markFailed')
  peer.goes()
  for (let looks = 0; looks < 200; looks++) await look()
  t.match(control.pipelines.view(id), { phase: 'Running', message: /^package: tried again: .* is away/ })
  peer.comes()
  await until('staging', () => stepOf(control, id, 'deploy-staging')?.status === 'running')
  peer.goes()
  for (let looks = 0; looks < 200; looks++) await look()
  t.match(control.pipelines.view(id), { phase: 'Running' })
  peer.comes()
  await until('canary', () => stepOf(control, id, 'alias-canary')?.status === 'passed')
})
