import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { modelManifest } from '../../contract/model-manifest.ts'
import type { Gate, GateSubject } from '../../controller/lifecycle/gates/gate.ts'
import { runGates } from '../../controller/lifecycle/gates/run-gates.ts'
import type { DeploymentFacts, SeenExit } from '../../controller/runtime/facts.ts'
import { systemClock as clock } from '../../lib/clock.ts'
import { listen } from '../evidence/fake-gateway.ts'
import { CRASH } from './exit.ts'

// What becomes of a gate's result when a process of the version ends while it is measured. A version that had crashed and was
// started again in time once passed whatever gate had not noticed.

/** A version that answers and whose processes end when a gate wants it. */
async function startSubject(t: Test, earlier: readonly SeenExit[] = []) {
  const url = await listen(t, (_, response) => response.end('{}'))
  const exits = [...earlier]
  const manifest = modelManifest.parse(JSON.parse(readFileSync('models/food11/1/model.json', 'utf8')))
  const subject: GateSubject = {
    model: 'food11',
    version: '1',
    digest: 'sha256:x',
    endpoints: [url],
    folder: 'models/food11/1',
    manifest,
    samples: 'models/food11/samples',
    facts: async () => ({ running: true, exits: [...exits], peakBytes: 1 }) satisfies DeploymentFacts,
    production: null,
  }
  return { subject, crash: () => void exits.push({ ...CRASH, at: clock.now() }) }
}

const at = new Date(0).toISOString()
const gateOf = (name: string, verdict: 'pass' | 'fail', meanwhile = () => {}): Gate => ({
  name,
  async run() {
    meanwhile()
    return { gate: name, verdict, reason: 'as measured', evidence: null, startedAt: at, endedAt: at }
  },
})
const run = async (subject: GateSubject, ...gates: Gate[]) =>
  runGates({ gates, subject, clock, signal: new AbortController().signal })

t.test(
  'what passed while a process ended is an error, resources is what failed, and no more is run',
  async t => {
    const { subject, crash } = await startSubject(t)
    const never = gateOf('quality', 'pass', () => t.fail('it was run'))
    const results = await run(subject, gateOf('integration', 'pass'), gateOf('load', 'pass', crash), never)
    t.match(results, [
      { gate: 'integration', verdict: 'pass' },
      { gate: 'load', verdict: 'error', reason: 'as measured; its process ended meanwhile' },
      { gate: 'resources', verdict: 'fail', reason: /^its process ended once/ },
    ])
    t.equal(results.length, 3)
  },
)

t.test('of resources the end is the one result', async t => {
  const { subject, crash } = await startSubject(t)
  const results = await run(subject, gateOf('resources', 'pass', crash), gateOf('load', 'pass'))
  t.match(results, [{ gate: 'resources', verdict: 'fail', reason: /^its process ended once/ }])
  t.equal(results.length, 1)
})

t.test('an end before the gates, and processes that nobody knows of, leave results as they are', async t => {
  const { subject } = await startSubject(t, [{ ...CRASH, at: 1 }])
  t.match(await run(subject, gateOf('load', 'pass')), [{ gate: 'load', verdict: 'pass' }])
  const foreign = { ...subject, facts: async () => undefined }
  t.match(await run(foreign, gateOf('load', 'pass')), [{ gate: 'load', verdict: 'pass' }])
  t.match(await run(foreign, gateOf('load', 'fail')), [{ gate: 'load', verdict: 'fail' }])
})
