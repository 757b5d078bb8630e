import t from 'tap'
import { z } from 'zod'
import { rolloutSpec } from '../../contract/rollout.ts'
import { play } from './crash.ts'
import { HOOKED } from './crash-hooks.ts'
import { INTERRUPTIONS } from './crash-interruptions.ts'
import { REPLICAS, ROLLED_BACK, ROLLING } from './crash-replicas.ts'
import { ENDINGS, specOf } from './crash-scripts.ts'
import { STRATEGIES } from './crash-strategies.ts'
import { listTransitions } from './transition-list.ts'

const scripts = Object.values({
  ...ENDINGS,
  ...HOOKED,
  ...INTERRUPTIONS,
  ...STRATEGIES,
  ...REPLICAS,
  ...ROLLING,
  ...ROLLED_BACK,
})

t.test('controllers are killed at every transition that the state machine has, and at no other', async t => {
  const known = new Set(['start → Pending'])
  const played = new Set<string>()
  const listed = new Set<string>()
  for (const script of scripts) {
    const { first, transitions } = await play(t, script)
    for (const transition of transitions) played.add(transition)
    const beginning = JSON.stringify({ ...script, happenings: [] })
    if (listed.has(beginning)) continue // another script begins so, too
    listed.add(beginning)
    for (const transition of listTransitions(first, rolloutSpec.parse(specOf(script.spec))))
      known.add(transition)
  }
  t.same([...known].filter(transition => !played.has(transition)).toSorted(), [], 'no script has these')
  t.same([...played].filter(transition => !known.has(transition)).toSorted(), [], 'the machine has not these')
})

t.test('the scripts use every strategy and every kind of step that a rollout file can have', async t => {
  const used = JSON.stringify(scripts.map(({ spec }) => (spec as { strategy: object }).strategy))
  const { strategy } = rolloutSpec.shape
  const schema = z.toJSONSchema(strategy, { io: 'input', unrepresentable: 'any' })
  const kinds = namesIn(schema)
  t.ok(kinds.has('canary') && kinds.has('approval'), 'the schema is read')
  t.same(
    [...kinds].filter(kind => !used.includes(`"${kind}":`)),
    [],
    'no script has these',
  )
})

/** Strategies, and what each step of theirs is called. */
function namesIn(schema: z.core.JSONSchema.JSONSchema): Set<string> {
  const strategies = Object.entries(schema.properties ?? {})
  const steps = strategies.flatMap(([, strategy]) => {
    const items = asSchema(asSchema(asSchema(strategy).properties?.['steps']).items)
    return (items.anyOf ?? []).flatMap(step => Object.keys(asSchema(step).properties ?? {}))
  })
  return new Set([...strategies.map(([name]) => name), ...steps])
}

function asSchema(schema: unknown): z.core.JSONSchema.JSONSchema {
  return typeof schema === 'object' && schema !== null ? { ...schema } : {}
}
