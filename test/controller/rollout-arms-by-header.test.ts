import t from 'tap'
import { pass, rolloutOf, startControl, startWorld } from './control.ts'
import { goal, pinned, started } from './experiments.ts'

t.test('a header may give a version any share, so each has as many processes as stable', async t => {
  const world = await startWorld(t, {}, { processes: 3 })
  const control = await startControl(t, world)
  const by = { header: 'x-region', values: { candidate: ['eu'], 'arm-3': ['us'] } }
  const { name } = await control.client.startRollout(
    rolloutOf({ strategy: { ab: { by, arms: [{ version: '3' }], goal } } }),
  )
  await pass(world, control, { name, seconds: 4, requestsPerSecond: 200 })
  const { variants } = world.gateway.policy()
  t.same(
    Object.values(variants).map(({ endpoints }) => endpoints.length),
    [3, 3, 3],
  )
})

t.test('experiments that cannot be are refused by name', async t => {
  const world = await startWorld(t, pinned)
  const control = await startControl(t, world)
  const refused = async (ab: object) => {
    const asked = control.client.startRollout(rolloutOf({ strategy: { ab: { goal, ...ab } } }))
    return asked.then(
      () => t.fail('it was started'),
      ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
    )
  }
  const by = { header: 'x-region', values: { candidate: ['eu'] } }
  for (const [ab, why] of [
    [{ arms: [{ version: '1' }] }, /conflict: version 1 is stable already/],
    [{ arms: [{ version: '2' }] }, /conflict: version 2 is candidate already/],
    [
      { arms: [{ version: '3' }, { version: '3' }] },
      /invalid_setting: .*arms\.1\.version: is an arm already/,
    ],
    [{ weight: 60, arms: [{ version: '3', weight: 40 }] }, /invalid_setting: .*the arms take 100 %/],
    [{ weight: 50, by }, /invalid_setting: .*there are no weights/],
    [
      { by: { ...by, values: { 'arm-3': ['us'] } } },
      /says nobody who gets candidate.*there is no arm "arm-3"/,
    ],
    [{ by, arms: [{ version: '3' }] }, /says nobody who gets arm-3/],
    [{ by: { ...by, values: { candidate: ['eu'], stable: ['EU'] } } }, /"eu" is named twice/],
  ] as const)
    t.match(await refused(ab), why)
  world.gateway.write({ splitBy: { header: 'x-region', rules: [{ values: ['eu'], to: 'stable' }] } })
  t.match(await refused({ by }), /conflict: route food11 has splitBy already/)
})

t.test('a header deals users to the arms, and the split is taken back at the end', async t => {
  const by = { header: 'accept-language', values: { candidate: ['de', 'fr'], 'arm-3': ['it'] } }
  const dealtBy = { stable: 40, candidate: 30, 'arm-3': 30 }
  const { world, control, name, seconds, status } = await started(
    t,
    { arms: [{ version: '3' }], by, goal },
    { policy: {}, dealtBy },
  )
  await seconds(5, {})
  t.match(world.gateway.policy(), {
    weights: { stable: 100, candidate: 0, 'arm-3': 0 },
    splitBy: {
      header: 'accept-language',
      rules: [
        { values: ['de', 'fr'], to: 'candidate' },
        { values: ['it'], to: 'arm-3' },
      ],
    },
  })
  t.match((await status()).arms, [
    { variant: 'stable', weight: null, values: [] },
    { variant: 'candidate', values: ['de', 'fr'] },
    { variant: 'arm-3', values: ['it'] },
  ])
  const { sentences } = await control.client.explain(name)
  t.match(sentences.join('\n'), /said by accept-language and not drawn/)
  await seconds(60, { stable: 0.4, candidate: 0.4, 'arm-3': 0.6 })
  t.match(await status(), { phase: 'Promoted', versions: { candidate: { version: '3' } } })
  t.match(world.gateway.policy(), { weights: { stable: 100, candidate: 0 } })
  t.equal(world.gateway.policy().splitBy, undefined)
})

t.test('harm to those whom a header deals withdraws, although the weight is 0', async t => {
  const by = { header: 'x-region', values: { candidate: ['eu'] } }
  const dealtBy = { stable: 50, candidate: 50 }
  const { world, seconds, status } = await started(t, { by, goal }, { policy: {}, dealtBy })
  await seconds(5, {})
  await seconds(15, { stable: 0.5, candidate: 0.5 }, { candidate: 0.4 })
  t.match(await status(), { phase: 'RolledBack', cause: 'failure' })
  t.equal(world.gateway.policy().splitBy, undefined)
})
