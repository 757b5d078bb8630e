import t from 'tap'
import { z } from 'zod'
import { rolloutFile } from '../../contract/rollout.ts'
import { describeIssues } from '../../lib/parse.ts'

function whyNotSteps(...steps: readonly object[]): string {
  const spec = { route: 'food11', modelVersion: '2', strategy: { canary: { steps } } }
  return whyNot(rolloutFile, {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    metadata: { name: 'r' },
    spec,
  })
}

function whyNot(schema: z.ZodType, value: unknown): string {
  const parsed = schema.safeParse(value)
  return parsed.success ? 'it fits' : describeIssues(parsed.error)
}

// Every step that there is was listed with all that was wrong with it: a misspelt word took nine lines of a terminal.
t.test('a step that is none is told which there are', async t => {
  t.equal(
    whyNotSteps({ setwieght: 10 }),
    'spec.strategy.canary.steps.0: must have one of setWeight, pause, ramp, mirror, headerRoute, analysis, approval, hook, not "setwieght"',
  )
})

t.test('a step with a setting too many, or a wrong one, is told about the steps that it may be', async t => {
  t.equal(
    whyNotSteps({ approval: {} }, { setWeight: 10, pause: {} }),
    'spec.strategy.canary.steps.1: none of the allowed forms fits (unknown setting "pause" | unknown setting "setWeight")',
  )
  t.equal(
    whyNotSteps({ setWeight: 101 }),
    'spec.strategy.canary.steps.0.setWeight: Too big: expected number to be <=100',
  )
})

t.test('forms that no setting tells apart are all described', async t => {
  const size = z.union([z.int(), z.string().regex(/KiB$/, 'must end with KiB')])
  t.equal(
    whyNot(z.object({ size }), { size: true }),
    'size: none of the allowed forms fits (Invalid input: expected number, received boolean | Invalid input: expected string, received boolean)',
  )
})
