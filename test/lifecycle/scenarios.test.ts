import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readBase, writeVersion } from '../../cli/scenario/version-content.ts'
import { SCENARIOS } from '../../cli/scenario/scenarios.ts'
import { gateSettings, type GateResult } from '../../contract/gate.ts'
import { modelManifest } from '../../contract/model-manifest.ts'
import { configuredGates } from '../../controller/lifecycle/gates/configured-gates.ts'
import { endOfWaiting } from '../../controller/lifecycle/gates/end-of-version.ts'
import type { GateSubject, ServedVersion } from '../../controller/lifecycle/gates/gate.ts'
import { runGates } from '../../controller/lifecycle/gates/run-gates.ts'
import { readManifest } from '../../controller/registry/content.ts'
import { systemClock as clock } from '../../lib/clock.ts'
import { createRuntimeWorld } from '../controller/runtime-world.ts'
import { until } from '../helpers/until.ts'

// Each scenario as it is written, served by real processes and measured by the real gates, under a name that says nothing.

t.setTimeout(400_000)
const LIMIT_MS = 120_000
const SAMPLES = 'models/food11/samples'
/** Small enough that the padding is written, read and refused quickly. */
const MEMORY_LIMIT_MIB = 256
/** Whoever else is busy on this machine must not decide the test; the default limit is that of the slow version alone. */
const PATIENT = { p95BelowMs: 30_000 }

t.test(
  'each scenario is stopped by its own gate, whatever the version is called',
  { timeout: 600_000 },
  async t => {
    const world = await startWorld(t)
    const base = await readBase('models/food11/1')
    for (const [index, [name, { stoppedAt, build }]] of Object.entries(SCENARIOS).entries()) {
      await t.test(name, async t => {
        const version = String(100 + index)
        const memoryLimitMiB = name === 'oversized' ? MEMORY_LIMIT_MIB : 512
        const digest = await writeVersion(
          join(world.models, 'food11', version),
          build(base, { name: version, memoryLimitMiB }),
        )
        const results = await world.measure(version, digest, stoppedAt === 'load' ? {} : PATIENT)
        const last = results.at(-1)
        t.match(last, { gate: stoppedAt, verdict: 'fail' }, last?.reason ?? 'no gate has run')
        t.comment(`${name}: ${last?.gate}: ${last?.reason}`)
        const passed = results.slice(0, -1)
        t.ok(
          passed.every(({ verdict }) => verdict === 'pass'),
          'all gates before it passed',
        )
        t.match(last?.reason, REASONS[name])
      })
    }
  },
)

t.test('a version without a fault passes all gates', { timeout: 300_000 }, async t => {
  const world = await startWorld(t)
  await cp('models/food11/2', join(world.models, 'food11', '2'), { recursive: true })
  const { digest } = await world.registry.get('food11', '2')
  const results = await world.measure('2', digest, PATIENT)
  t.match(
    results.map(({ gate, verdict }) => [gate, verdict]),
    [
      ['integration', 'pass'],
      ['resources', 'pass'],
      ['load', 'pass'],
      ['quality', 'pass'],
    ],
    results.map(({ reason }) => reason).join('\n'),
  )
})

const REASONS: Readonly<Record<string, RegExp>> = {
  'bad-architecture': /11\d{6} parameters, a MobileNetV2 has 2000000 to 3000000/,
  oversized: /^OOM: ended by its memory limit, \d+ MiB at its peak, limit 256 MiB/,
  'crash-loop': /^crash loop: its process ended \d times, last: ended with code 3 \(not for memory\)/,
  slow: /100 of 100 requests .* took at most \d{4,} ms \(must be below 2000 ms\)/,
  flaky: /80 of 100 requests were answered with 2xx \(80 %/,
  degraded:
    /points lower, 2 points are allowed; \d only production knows, 0 only this one \(sign test p = 0\.0/,
}

async function startWorld(t: Test) {
  const models = t.testdir()
  await cp('models/food11/1', join(models, 'food11', '1'), { recursive: true })
  const control = createRuntimeWorld(t, { modelsDir: models, firstPort: 20_900 }).supervised()
  const { registry, runtime } = control
  const { signal } = new AbortController()
  const production = await serveProduction()

  async function serveProduction(): Promise<ServedVersion> {
    const version = await registry.get('food11', '1')
    const { endpoints } = await runtime.deploy({ id: 'production', version })
    await control.ready('production')
    return { version: '1', digest: version.digest, endpoints }
  }

  async function facts() {
    const known = await runtime.facts('staging')
    if (known === undefined) throw new Error('staging is not deployed')
    return known
  }

  /** As the pipeline does: deploys, waits until it is ready or never will be, and runs the gates. */
  async function measure(version: string, digest: string, load: object): Promise<GateResult[]> {
    const startedAt = clock.now()
    const { endpoints } = await runtime.deploy({
      id: 'staging',
      version: await registry.get('food11', version),
    })
    try {
      const ended = await until('an end of the waiting', LIMIT_MS, async () => {
        const status = await runtime.status('staging')
        const end = endOfWaiting({
          status,
          facts: await facts(),
          startedAt,
          now: clock.now(),
          readyWithinMs: 60_000,
        })
        return end ?? (status.kind === 'ready' && 'ready')
      })
      if (ended !== 'ready') return [ended]
      const folder = await registry.fetch('food11', version)
      const { json } = await readManifest(folder)
      const manifest = modelManifest.parse(json)
      const subject: GateSubject = {
        model: 'food11',
        version,
        digest,
        endpoints,
        folder,
        manifest,
        samples: SAMPLES,
        facts,
        production,
      }
      const gates = configuredGates(gateSettings.parse({ resources: { requests: 20 }, load }), {
        clock,
        secret: 'whsec_unused',
        evidence: { look: async () => ({ kind: 'no-data', reason: 'unused', failed: false }) },
        mirroring: { route: 'food11', start: async () => async () => {} },
      })
      return await runGates({ gates, subject, clock, signal })
    } finally {
      runtime.stop('staging')
      await until(
        'staging is gone',
        LIMIT_MS,
        async () => (await runtime.status('staging')).kind === 'absent',
      )
    }
  }
  return { models, registry, measure }
}
