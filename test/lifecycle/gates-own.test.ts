import { access } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { gateSettings } from '../../contract/gate.ts'
import { modelManifest } from '../../contract/model-manifest.ts'
import { createCommandGate } from '../../controller/lifecycle/gates/command.ts'
import { createGate, type GateSubject } from '../../controller/lifecycle/gates/gate.ts'
import { createIntegrationGate } from '../../controller/lifecycle/gates/integration.ts'
import { runGates } from '../../controller/lifecycle/gates/run-gates.ts'
import { createShadowGate } from '../../controller/lifecycle/gates/shadow.ts'
import { createWebhookGate } from '../../controller/lifecycle/gates/webhook.ts'
import type { Evidence } from '../../controller/evidence/evidence.ts'
import { systemClock as clock } from '../../lib/clock.ts'
import { isSigned, startReceiver } from '../controller/receiver.ts'
import { listen } from '../evidence/fake-gateway.ts'
import { colourManifest } from '../serving/model-folder.ts'
import { comparisons } from './comparisons.ts'

// Gates of the team's own, the shadow gate, and the order of all of them.

const { signal: never } = new AbortController()

/** A server that answers nothing but what it is. */
async function subjectOf(t: Test): Promise<GateSubject> {
  const digest = 'sha256:one'
  const url = await listen(t, (_, response) =>
    response.end(JSON.stringify({ model: 'colours', model_version: '1', digest })),
  )
  return {
    model: 'colours',
    version: '1',
    digest,
    endpoints: [url],
    folder: '.',
    manifest: modelManifest.parse(colourManifest()),
    samples: '.',
    facts: async () => ({ running: true, exits: [], peakBytes: 1 }),
    production: null,
  }
}

t.test("a command's exit code decides, and it is told what it is about", async t => {
  const subject = await subjectOf(t)
  const run = (script: string, changes: { timeout?: number; argv?: string[] } = {}) => {
    const command = {
      name: 'own',
      argv: ['sh', '-c', script],
      env: { WORD: 'soup' },
      timeout: 20_000,
      ...changes,
    }
    return createCommandGate(command, clock).run(subject, never)
  }
  const told = await run('echo "$WORD $WEIR_ENDPOINT $WEIR_DIGEST"')
  t.match(told, {
    gate: 'own',
    verdict: 'pass',
    evidence: { code: 0, output: `soup ${subject.endpoints[0]} ${subject.digest}\n` },
  })
  t.match(await run('echo bad >&2; exit 1'), { verdict: 'fail', reason: 'sh ended with code 1: bad' })
  t.match(await run('exit 2'), { verdict: 'error', evidence: { code: 2 } })
  t.match(await run('kill -9 $$'), { verdict: 'error', reason: 'sh was ended by SIGKILL' })
  t.match(await run('', { argv: ['no-such-program'] }), {
    verdict: 'error',
    reason: /no-such-program cannot be run/,
  })
  const long = await run('head -c 100000 /dev/zero | tr "\\0" x; echo end')
  t.ok(
    long.evidence?.gate === 'command' &&
      long.evidence.output.length === 16 * 1024 &&
      long.evidence.output.endsWith('xend\n'),
  )
})

t.test('a command that takes too long ends with all that it started', async t => {
  const subject = await subjectOf(t)
  const file = join(t.testdir(), 'late')
  const argv = ['sh', '-c', `(sleep 3; touch ${file}) & wait`]
  const result = await createCommandGate({ name: 'own', argv, env: {}, timeout: 300 }, clock).run(
    subject,
    never,
  )
  t.match(result, { verdict: 'error', reason: /sh had not ended after 0.3 s/ })
  await clock.sleep(3500)
  await t.rejects(access(file), { code: 'ENOENT' })
})

t.test('a webhook is asked with a signature, and late answers are errors', async t => {
  const subject = await subjectOf(t)
  const receiver = await startReceiver(t)
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  const settings = { name: 'own', url: `${receiver.url}/gate`, timeout: 500, metadata: { team: 'food' } }
  const gate = createWebhookGate({ settings, secret, clock })
  t.match(await gate.run(subject, never), { gate: 'own', verdict: 'pass' })
  const [got] = receiver.got
  t.ok(got && isSigned(got, secret))
  t.match(got?.body, {
    phase: 'Gate',
    checksum: subject.digest,
    metadata: { team: 'food', version: '1', gate: 'own' },
  })
  receiver.plan.push(403, 500, 'none')
  t.match(await gate.run(subject, never), { verdict: 'fail', reason: /answered 403/ })
  t.match(await gate.run(subject, never), { verdict: 'error' })
  t.match(await gate.run(subject, never), { verdict: 'error', reason: /no answer within 500 ms/ })
})

t.test('later gates do not run after a failure or an error', async t => {
  const subject = await subjectOf(t)
  const ran: string[] = []
  const gateOf = (name: string, verdict: 'pass' | 'fail' | 'error') =>
    createGate(name, clock, async () => {
      ran.push(name)
      return { verdict, reason: verdict, evidence: null }
    })
  const run = (...gates: ReturnType<typeof gateOf>[]) => runGates({ gates, subject, clock, signal: never })
  const failed = await run(gateOf('a', 'pass'), gateOf('b', 'fail'), gateOf('c', 'pass'))
  t.match(
    failed.map(({ gate, verdict }) => [gate, verdict]),
    [
      ['a', 'pass'],
      ['b', 'fail'],
    ],
  )
  const wrong = await run(gateOf('d', 'error'), gateOf('e', 'pass'))
  t.match(
    wrong.map(({ gate, verdict }) => [gate, verdict]),
    [['d', 'error']],
  )
  t.same(ran, ['a', 'b', 'd'])
})

t.test(
  'what a gate found is worth nothing when the process ended meanwhile: that is the failure of resources',
  async t => {
    const subject = await subjectOf(t)
    const exit = {
      at: clock.now() + 1000,
      pid: 7,
      cause: 'crash',
      code: 3,
      signal: null,
      peakBytes: null,
      limitBytes: null,
      reason: 'ended with code 3',
    } as const
    let looks = 0
    const facts = async () => ({ running: true, peakBytes: null, exits: ++looks < 3 ? [] : [exit] })
    const gone = await listen(t, (_, response) => void (response.writeHead(503), response.end('{}')))
    const gates = [createIntegrationGate({ tests: 1 }, clock)]
    const results = await runGates({
      gates,
      subject: { ...subject, endpoints: [gone], facts },
      clock,
      signal: never,
    })
    t.match(results, [
      { gate: 'integration', verdict: 'error', reason: /its process ended meanwhile/ },
      {
        gate: 'resources',
        verdict: 'fail',
        reason: 'its process ended once, last: ended with code 3 (not for memory)',
      },
    ])
  },
)

t.test(
  'the shadow gate decides on copies of live requests, and ends the copying however it ends',
  async t => {
    const subject = await subjectOf(t)
    const run = async (evidence: Evidence, within: string, route = 'food11') => {
      const { shadow } = gateSettings.parse({ shadow: { percent: 40, within, interval: '100ms' } })
      if (shadow === undefined) throw new Error('it was asked for')
      const copying: string[] = []
      const mirroring = {
        route,
        async start(_: GateSubject, percent: number) {
          copying.push(`${percent} %`)
          return async () => void copying.push('ended')
        },
      }
      const result = await createShadowGate({ settings: shadow, evidence, mirroring, clock }).run(
        subject,
        never,
      )
      t.same(copying, ['40 %', 'ended'])
      return result
    }
    t.match(await run(comparisons(500, 500), '20s'), {
      gate: 'shadow',
      verdict: 'pass',
      reason: /pairs agree/,
    })
    t.match(await run(comparisons(500, 300), '20s'), { verdict: 'fail', reason: /withdrawn/ })
    t.match(await run(comparisons(1, 1), '300ms'), {
      verdict: 'error',
      reason: /nothing is proven after 0.3 s/,
    })
    t.match(await run(comparisons(1, 1), '300ms', 'elsewhere'), {
      verdict: 'error',
      reason: /no live request was copied/,
    })
  },
)
