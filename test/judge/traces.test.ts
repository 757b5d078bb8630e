// Recorded histories with the decisions of an independent implementation of the same text: e and u to a relative 1e-6.
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { z } from 'zod'
import { history } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { judgeOptions, replay } from '../../controller/judge/judge.ts'

const folder = new URL('traces/', import.meta.url)

const trace = z.object({
  rollout: rolloutFile,
  history,
  expected: z.array(
    z.object({
      action: z.string(),
      cause: z.string().nullable(),
      e: z.number(),
      u: z.number(),
      exposure: z.object({ stable: z.number(), candidate: z.number() }),
    }),
  ),
})

for (const name of readdirSync(folder)) {
  t.test(`${name} is judged as recorded`, t => {
    const { rollout, history, expected } = trace.parse(
      JSON.parse(gunzipSync(readFileSync(new URL(name, folder))).toString()),
    )
    const decisions = replay(history, judgeOptions(rollout.spec, history))
    t.equal(decisions.length, expected.length)
    const wrong = decisions.filter((decision, index) => {
      const { e, u, ...rest } = expected[index] ?? { e: Number.NaN, u: Number.NaN }
      const same = Object.entries(rest).every(([key, value]) => isSame(decision, key, value))
      return !(same && isNear(decision.e, e) && isNear(decision.u, u))
    })
    t.same(wrong, [])
    t.end()
  })
}

function isSame(decision: object, key: string, value: unknown): boolean {
  return JSON.stringify(new Map(Object.entries(decision)).get(key)) === JSON.stringify(value)
}

function isNear(actual: number, expected: number): boolean {
  return Math.abs(actual - expected) <= 1e-6 * Math.max(Math.abs(expected), 1e-6)
}
