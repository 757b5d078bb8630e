import t, { type Test } from 'tap'
import { pino } from 'pino'
import { createGatewayClient } from '../../client/gateway.ts'
import { createAudit } from '../../controller/audit.ts'
import { createRecordedGateway } from '../../controller/recorded-gateway.ts'
import { openStore } from '../../controller/store.ts'
import { startWorld, type World } from './control.ts'

/** The gateway of a world as one controller after the other sees it. */
function openGateway(t: Test, { gateway: small, stateDir, clock }: World) {
  const store = openStore(stateDir)
  const audit = createAudit(store)
  const client = createGatewayClient({ baseUrl: small.url })
  let loseAnswers = false
  const lossy = {
    ...client,
    async patchRoute(...args: Parameters<typeof client.patchRoute>) {
      const answer = await client.patchRoute(...args)
      if (loseAnswers) throw new Error('the connection broke')
      return answer
    },
  }
  const log = pino({ level: 'silent' })
  const gateway = createRecordedGateway({ gateway: lossy, store, audit, clock, log })
  let open = true
  const close = () => {
    if (open) store.close()
    open = false
  }
  t.teardown(close)
  return {
    gateway,
    close,
    /** Oldest first. */
    records: () => audit.list().toReversed(),
    loseAnswers: () => (loseAnswers = true),
  }
}

const POLICY = {
  variants: {
    stable: { endpoints: ['http://127.0.0.1:9101'] },
    candidate: { endpoints: ['http://127.0.0.1:9102'] },
  },
}
const WEIGHTS = { weights: { stable: 80, candidate: 20 } }

t.test('weights, mirror and stickiness that an operator sets leave a record with the versions', async t => {
  const world = await startWorld(t, POLICY)
  const { gateway, records } = openGateway(t, world)
  await gateway.routes()
  t.same(records(), [], 'the first look only learns')
  world.gateway.write(WEIGHTS)
  await gateway.routes()
  world.gateway.write({ mirror: { to: 'candidate', percent: 10 }, sticky: { header: 'x-user-id' } })
  await gateway.route('food11')
  await gateway.routes()
  t.match(records(), [
    {
      actor: 'operator',
      action: 'policy-changed',
      subject: 'food11',
      reason: 'weights stable 80 %, candidate 20 %',
      evidence: { before: { weights: { stable: 100 } }, after: { weights: { stable: 80 } } },
      policyVersion: { before: 1, after: 2 },
    },
    {
      reason: /^(?=.*mirror 10 % to candidate)(?=.*sticky header=x-user-id)/,
      policyVersion: { before: 2, after: 3 },
    },
  ])
  t.equal(records().length, 2)
})

t.test('what changed while no controller ran is recorded by the next one', async t => {
  const world = await startWorld(t, POLICY)
  const first = openGateway(t, world)
  await first.gateway.routes()
  first.close()
  world.gateway.write(WEIGHTS)
  const second = openGateway(t, world)
  await second.gateway.routes()
  t.match(second.records(), [{ actor: 'operator', policyVersion: { before: 1, after: 2 } }])
})

t.test(
  "a version of our own is recorded once, as the controller's, also when its answer was lost",
  async t => {
    const world = await startWorld(t, POLICY)
    const first = openGateway(t, world)
    await first.gateway.patchRoute('food11', WEIGHTS, { subject: 'food11-v2', reason: 'Progressing' })
    await first.gateway.routes()
    first.loseAnswers()
    const patch = { weights: { stable: 50, candidate: 50 } }
    await t.rejects(
      first.gateway.patchRoute('food11', patch, { ifMatch: 2, subject: 'food11-v2', reason: 'more' }),
    )
    first.close()
    const second = openGateway(t, world)
    await second.gateway.routes()
    await second.gateway.patchRoute('food11', patch, { ifMatch: 3 })
    const own = { actor: 'controller', action: 'policy-applied', subject: 'food11-v2' }
    t.match(second.records(), [
      { ...own, reason: 'Progressing', policyVersion: { before: 1, after: 2 } },
      { ...own, reason: 'more', policyVersion: { before: 2, after: 3 } },
      { ...own, subject: 'food11', policyVersion: { before: 3, after: 4 } },
    ])
  },
)

t.test("a write that another overtook is refused, and the other is the operator's", async t => {
  const world = await startWorld(t, POLICY)
  const { gateway, records } = openGateway(t, world)
  await gateway.routes()
  world.gateway.write({ mirror: { to: 'candidate', percent: 10 } })
  await t.rejects(gateway.patchRoute('food11', WEIGHTS, { ifMatch: 1 }), { code: 'precondition_failed' })
  await gateway.routes()
  t.match(records(), [{ actor: 'operator', reason: 'mirror 10 % to candidate' }])
})
