import type { Runtime } from '../../controller/runtime/runtime.ts'
import type { Control, World } from './control.ts'
import type { Misbehaviour } from './small-gateway.ts'

/** One thing that happens: outside of the controller, once; and then to the controller, again after it was killed meanwhile. */
export interface Happening {
  readonly outside?: (world: CrashWorld) => void
  readonly act: (control: Control) => Promise<unknown>
}

/** What scripts change of the world beside the gateway. */
export interface CrashWorld extends World {
  candidate: 'ready' | 'loading' | 'refused' | 'another'
  /** What Prometheus answers; undefined: an error. */
  metric: string | undefined
}

export interface Script {
  /** What the route's policy has beside the usual. */
  readonly policy?: object
  /** The runtime runs stable, too, and can stop it. */
  readonly runsStable?: boolean
  /** How many processes stable has, if not one. */
  readonly processes?: number
  /** Of the rollout. */
  readonly spec: object
  readonly happenings: readonly Happening[]
}

export const NAME = 'food11-v2'

/** A world whose candidate is as the script says. */
export function changeable(world: World): CrashWorld {
  const status: Runtime['status'] = async id => {
    const found = await world.runtime.status(id)
    if (found.kind !== 'ready') return found
    const { endpoints } = found
    switch (changed.candidate) {
      case 'ready':
        return found
      case 'loading':
        return { kind: 'starting', endpoints, reason: 'loading' }
      case 'refused':
        return { kind: 'refused', endpoints, reason: 'its digest differs' }
      case 'another':
        return { ...found, digest: 'sha256:another' }
    }
  }
  const changed: CrashWorld = {
    ...world,
    runtime: { ...world.runtime, status },
    candidate: 'ready',
    metric: '0',
  }
  return changed
}

/** Everything that happens is to be told to somebody, once. */
const url = 'http://127.0.0.1:1'
const webhooks = [
  { name: 'chat', type: 'event', url },
  { name: 'end', type: 'post-rollout', url },
]
export const analysis = { interval: '1s', settle: '2s', webhooks }
export const byTheClock = { ...analysis, advance: 'time', minRequests: 1 }
const metrics = [
  {
    name: 'gpu',
    query: 'gpu_errors',
    successCondition: 'result < 1',
    failureCondition: 'result > 5',
    consecutiveErrorLimit: 1,
  },
]
export const stepsOf = (...steps: object[]) => ({ strategy: { canary: { steps } }, analysis })
const quick = stepsOf({ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } })
/** Stays at 50 %: so small an excess is not ruled out within a script. */
export const slow = stepsOf({ setWeight: 50 }, { ramp: { riskBudget: '0.01pp', to: 95 } })
export const measured = { ...slow, analysis: { ...analysis, metrics } }
export const onRequest = {
  ...slow,
  analysis: { ...analysis, webhooks: [...webhooks, { name: 'panic', type: 'rollback', url }] },
}
export const hook = { url, retries: 1 }
export const hourOr = (end: string) => ({ ...slow, onDeadline: { after: '1h', do: end } })

export function seconds(
  count: number,
  misbehaviour: Misbehaviour = {},
  requestsPerSecond = 1000,
): Happening[] {
  return Array.from({ length: count }, () => ({
    outside({ clock, gateway }) {
      clock.forward(1000)
      gateway.serve(requestsPerSecond, misbehaviour)
    },
    act: control => control.tick(NAME),
  }))
}

export const failing = { failing: { candidate: 0.3 } }

/** The world changes, a second before the next look. */
function when(change: (world: CrashWorld) => void): Happening {
  return {
    outside(world) {
      world.clock.forward(1000)
      change(world)
    },
    act: control => control.tick(NAME),
  }
}

export const later = (hours: number) => when(({ clock }) => clock.forward(hours * 3_600_000))
export const ejected = (failedTrials: number) =>
  when(({ gateway }) => void (gateway.ejected = { variant: 'candidate', failedTrials }))
export const candidateIs = (state: CrashWorld['candidate']) => when(world => void (world.candidate = state))
/** Every question that waits is answered so, whoever was asked. */
export const answered = (passed: boolean): Happening => ({
  async act({ outbox }) {
    for (const delivery of outbox.due().filter(({ giveUpAt }) => giveUpAt === null))
      if (passed) outbox.accepted(delivery)
      else outbox.refused(delivery, 'answered 403')
  },
})
export const metricIs = (value: string | undefined) => when(world => void (world.metric = value))

export function specOf(spec: object): object {
  return { route: 'food11', modelVersion: '2', ...spec }
}

let keys = 0

/** An operator who asks again with the same key when no answer came. */
export function verb(name: string): Happening {
  const key = `${name}-${++keys}`
  return { act: control => post(control, `/v1/rollouts/${NAME}/${name}`, key) }
}

export function start(spec: object): Happening {
  const file = {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: specOf(spec),
  }
  return { act: control => post(control, '/v1/rollouts', 'start', file) }
}

async function post({ url }: Control, path: string, key: string, body: object = {}): Promise<void> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, 'x-weir-actor': 'ada' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
}

export const manual = (stable: number) =>
  when(({ gateway }) => gateway.write({ weights: { stable, candidate: 100 - stable } }))
/** At 50 %, in force and judged, also where a killed controller was a look ahead. */
export const underWay = seconds(6)
export const atEnd = seconds(3)

/** Those that are about how a rollout ends. */
export const ENDINGS: Readonly<Record<string, Script>> = {
  'promoted on evidence': { spec: quick, happenings: seconds(14) },
  'withdrawn on evidence': { spec: slow, happenings: [...underWay, ...seconds(6, failing)] },
  'an approval that is refused': {
    spec: stepsOf({ approval: {} }, { setWeight: 10 }),
    happenings: [...seconds(4), verb('reject'), ...atEnd],
  },
  'aborted before it was ready, and tried again': {
    spec: slow,
    happenings: [candidateIs('loading'), ...seconds(2), verb('abort'), ...atEnd, verb('retry')],
  },
  'aborted under way': { spec: slow, happenings: [...underWay, verb('abort'), ...atEnd] },
  'aborted during promotion': {
    spec: slow,
    happenings: [...underWay, verb('promote'), verb('abort'), ...atEnd],
  },
  'promoted by a person': {
    spec: slow,
    happenings: [...underWay, verb('pause'), verb('promote'), verb('promote'), ...atEnd],
  },
  'promoted under way': { spec: slow, happenings: [...underWay, verb('promote'), ...atEnd] },
  'a model that is refused': { spec: slow, happenings: [candidateIs('refused'), ...atEnd] },
  'another model than was asked for': { spec: slow, happenings: [candidateIs('another'), ...atEnd] },
  'a model that is never ready': {
    spec: slow,
    happenings: [candidateIs('loading'), later(1), ...atEnd],
  },
  'a candidate that is ejected': {
    spec: slow,
    happenings: [...underWay, ejected(1), ejected(3), ...atEnd],
  },
  'a metric that withdraws': { spec: measured, happenings: [...underWay, metricIs('9'), ...seconds(5)] },
}
