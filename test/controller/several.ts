import type { Test } from 'tap'
import { pass, rolloutOf, startControl, startWorld, type Control } from './control.ts'
import type { Misbehaviour } from './small-gateway.ts'

/** What is there at one time: percent and processes by variant, and how many processes each deployment has. */
export interface Shape {
  readonly weights: Readonly<Record<string, number>>
  readonly processes: Readonly<Record<string, number>>
  readonly running: Readonly<Record<string, number>>
}

interface Several {
  readonly processes: number
  readonly strategy: object
  readonly spec?: object
  readonly policy?: object
}

/** A rollout where stable has several processes, which the controller runs, with what is there after each second. */
export async function startSeveral(t: Test, { processes, strategy, spec = {}, policy = {} }: Several) {
  const world = await startWorld(t, policy, { processes, runsStable: true })
  const begin = (control: Control) => control.client.startRollout(rolloutOf({ strategy, ...spec }))
  let control = await startControl(t, world)
  const { name } = await begin(control)
  const shapes: Shape[] = []
  const shape = (): Shape => {
    const { weights, variants } = world.gateway.policy()
    const counts = (pairs: readonly (readonly [string, readonly string[]])[]) =>
      Object.fromEntries(pairs.map(([key, endpoints]) => [key, endpoints.length]))
    return {
      weights,
      processes: counts(Object.entries(variants).map(([variant, { endpoints }]) => [variant, endpoints])),
      running: counts(world.runtime.list().map(({ id, endpoints }) => [id, endpoints])),
    }
  }
  return {
    world,
    name,
    shapes,
    shape,
    async seconds(count: number, misbehaviour: Misbehaviour = {}): Promise<void> {
      for (let second = 0; second < count; second++) {
        await pass(world, control, { name, seconds: 1, requestsPerSecond: 1000, ...misbehaviour })
        shapes.push(shape())
      }
    },
    status: () => control.client.rollout(name),
    act: (verb: Parameters<Control['client']['act']>[1]) => control.client.act(name, verb),
    audit: () => control.client.audit({ subject: name, limit: 1000 }),
    /** Another controller takes over from what was stored. */
    async replaceController(): Promise<void> {
      await control.stop()
      control = await startControl(t, world)
    },
  }
}

/** Without what follows one another unchanged. */
export function changesOf<T>(values: readonly T[]): readonly T[] {
  return values.filter((value, index) => JSON.stringify(value) !== JSON.stringify(values[index - 1]))
}
