import type { Test } from 'tap'
import { createRandom } from '../../bench/judge/random.ts'
import { pass, rolloutOf, startControl, startWorld, type World } from './control.ts'

export const pinned = { sticky: { header: 'x-user-id' } }
export const goal = { outcome: 'ordered' }
/** Stable, the candidate and version 3, told apart by what users order. */
export const three = { arms: [{ version: '3', weight: 20 }], weight: 30, goal }

export type Rates = Readonly<Record<string, number>>

/** An experiment that has just been started, whose users order at rates that a test sets. */
export async function started(t: Test, ab: object, { policy = pinned, dealtBy, ...settings }: Settings = {}) {
  const world = await startWorld(t, policy)
  const control = await startControl(t, world)
  const { name } = await control.client.startRollout(rolloutOf({ strategy: { ab }, ...settings }))
  const random = createRandom(7)
  /** Of 40 users an arm each second so many order. */
  const seconds = async (count: number, rates: Rates, failing: Rates = {}) => {
    for (let second = 0; second < count; second++) {
      for (const [variant, rate] of Object.entries(rates)) order(world, variant, random.binomial(40, rate))
      await pass(world, control, {
        name,
        seconds: 1,
        requestsPerSecond: 200,
        failing,
        ...(dealtBy && { dealtBy }),
      })
    }
  }
  return { world, control, name, seconds, status: () => control.client.rollout(name) }
}

interface Settings {
  readonly policy?: object
  readonly dealtBy?: Rates
  readonly onDeadline?: object
}

function order({ gateway }: World, variant: string, ordered: number): void {
  gateway.count(
    'weir_outcomes_total',
    { variant, epoch: String(gateway.version()), name: 'ordered' },
    ordered,
  )
  gateway.count('weir_predictions_total', { variant, label: 'Bread' }, 40)
}
