import { existsSync } from 'node:fs'
import type { Test } from 'tap'
import type { HookPayload } from '../../contract/webhook.ts'
import type { AuditRecord } from '../../controller/audit.ts'
import type { FallenArm } from '../../controller/rollouts/arms.ts'
import type { RolloutState } from '../../controller/rollouts/rollout-state.ts'
import { changeable, NAME, start, type CrashWorld, type Happening, type Script } from './crash-scripts.ts'
import { startControl, startWorld, type Control } from './control.ts'
import { createMortality, type Kill, type Mortality } from './mortality.ts'
import { json, listen } from './small-gateway.ts'
import { transitionOf } from './transition-list.ts'

// A controller is killed around everything that it does to the world (before, within and after each commit, before and after
// each request that changes something), wherever the state changes, and another one goes on from the store. Afterwards the
// world must be as if nobody had been killed: the same states, decisions, audit records, deployments and policy writes.

/** Thousands of commits, each synced: in memory they take a fraction of the time, where there is a folder for that. */
if (existsSync('/dev/shm')) process.env['TMPDIR'] = '/dev/shm'

export interface Played {
  readonly outcome: unknown
  readonly transitions: ReadonlySet<string>
  /** By happening: its effects, none where no state changed. */
  readonly effects: readonly (readonly string[])[]
  /** The first state. */
  readonly first: RolloutState
  /** How often a controller was killed. */
  readonly killed: number
}

interface Life {
  readonly control: Control
  readonly mortality: Mortality
}

/** Plays a script from beginning to end; `kill`: in each happening in which the state changes, once. */
export async function play(
  t: Test,
  script: Script,
  { kill, at }: { kill?: Kill; at?: Played['effects'] } = {},
): Promise<Played> {
  const { runsStable, processes } = script
  const world = changeable(await startWorld(t, script.policy, { runsStable, processes }))
  const prometheus = await listen(t, (_, response) => {
    if (world.metric === undefined) return void response.writeHead(503).end()
    json(response, {
      status: 'success',
      data: { resultType: 'vector', result: [{ metric: {}, value: [1, world.metric] }] },
    })
  })
  const live = async (): Promise<Life> => {
    const mortality = createMortality()
    const control = await startControl(t, { ...world, through: mortality.through }, prometheus)
    return { control, mortality }
  }
  const transitions = new Set<string>()
  const effects: (readonly string[])[] = []
  let killed = 0
  let first: RolloutState | undefined
  let life = await live()
  for (const [index, happening] of [start(script.spec), ...script.happenings].entries()) {
    const before = statesIn(life.control)
    happening.outside?.(world)
    life.mortality.arm(at?.[index]?.length ? kill : undefined)
    if (!(await survives(life, happening))) {
      killed += 1
      await life.control.stop()
      life = await live()
      await happening.act(life.control)
    }
    const changes = changesBetween(before, statesIn(life.control))
    for (const change of changes) transitions.add(change)
    effects.push(changes.length > 0 ? life.mortality.effects() : [])
    first ??= statesIn(life.control).get(NAME)
  }
  const outcome = outcomeOf(world, life.control)
  await life.control.stop()
  if (first === undefined) throw new Error('nothing was started')
  return { outcome, transitions, effects, first, killed }
}

/** False: the controller was killed meanwhile. What else goes wrong is an error of the test's. */
async function survives({ control, mortality }: Life, { act }: Happening): Promise<boolean> {
  try {
    await act(control)
  } catch (error) {
    if (!mortality.dead()) throw error
  }
  return !mortality.dead()
}

type States = ReadonlyMap<string, RolloutState>

function statesIn({ store }: Control): States {
  const rows = store.db.prepare('SELECT name, state FROM rollouts').all()
  return new Map(rows.map(row => [String(row['name']), JSON.parse(String(row['state'])) as RolloutState]))
}

function changesBetween(before: States, after: States): string[] {
  return [...after].flatMap(([name, state]) => {
    const known = before.get(name)
    return (known === undefined ? `start → ${state.phase}` : transitionOf(known, state)) ?? []
  })
}

/**
 * All that lasts. Left out are the ports of this world, and times and figures: who goes on in the second in which another was
 * killed has one more look in it, and may be a look ahead.
 */
function outcomeOf({ gateway, runtime }: CrashWorld, { store }: Control): unknown {
  const all = (sql: string) => store.db.prepare(sql).all()
  const text = JSON.stringify({
    rollouts: all('SELECT name, state, active FROM rollouts').map(({ name, state, active }) => {
      const read = JSON.parse(String(state)) as RolloutState
      const { phase, cause, step, weightBp, mirrorPercent, stable, candidate, policyVersion, endedAt } = read
      const ended = endedAt !== null
      return {
        name,
        active,
        phase,
        cause,
        step,
        weightBp,
        mirrorPercent,
        stable,
        candidate,
        policyVersion,
        arms: read.experiment && { ...read.experiment, fallen: read.experiment.fallen.map(fallenAs) },
        ended,
      }
    }),
    audit: all('SELECT record FROM audit ORDER BY seq').flatMap(({ record }) => {
      const { actor, action, subject, reason, policyVersion } = JSON.parse(String(record)) as AuditRecord
      if (isEstimate(action)) return []
      const said = policyVersion === undefined ? withoutFigures(reason) : reason
      return { actor, action, subject, reason: said, policyVersion }
    }),
    messages: all('SELECT lane, body FROM outbox ORDER BY seq').flatMap(({ lane, body }) => {
      const { phase, metadata } = JSON.parse(String(body)) as HookPayload
      const { action = 'end', weight, eventMessage = '' } = metadata
      return isEstimate(action) ? [] : { lane, phase, action, weight, message: withoutFigures(eventMessage) }
    }),
    writes: gateway.writes(),
    policy: gateway.policy(),
    deployments: runtime.list(),
  })
  const endpoints = [...new Set(text.match(/http:\/\/127\.0\.0\.1:\d+/g))]
  return JSON.parse(
    endpoints.reduce((rest, endpoint, index) => rest.replaceAll(endpoint, `endpoint ${index}`), text),
  )
}

function fallenAs({ variant, cause, released }: FallenArm): object {
  return { variant, cause, released }
}

/** Told of the traffic that one controller saw. */
function isEstimate(action: string): boolean {
  return action === 'expect' || action === 'warn'
}

function withoutFigures(text: string): string {
  return text.replaceAll(/[\d.]+/g, '#')
}

/** Around each effect, once: after one is before the next. Only a transaction has an inside. */
function killsFor(effects: Played['effects']): Kill[] {
  const most = Math.max(...effects.map(({ length }) => length))
  return Array.from({ length: most }, (_, index) => index + 1).flatMap(effect => [
    ...(effect === 1 ? [{ effect, moment: 'before' } as const] : []),
    ...(effects.some(names => names[effect - 1] === 'transaction')
      ? [{ effect, moment: 'inside' } as const]
      : []),
    { effect, moment: 'after' } as const,
  ])
}

export function testKills(t: Test, scripts: Readonly<Record<string, Script>>): void {
  for (const [name, script] of Object.entries(scripts)) {
    t.test(`a controller that is killed anywhere: ${name}`, async t => {
      const undisturbed = await play(t, script)
      for (const kill of killsFor(undisturbed.effects)) {
        const disturbed = await play(t, script, { kill, at: undisturbed.effects })
        const where = `${kill.moment} effect ${kill.effect}`
        t.ok(disturbed.killed > 0, `killed ${where}`)
        t.same(disturbed.outcome, undisturbed.outcome, `as if it had not been killed ${where}`)
      }
    })
  }
}
