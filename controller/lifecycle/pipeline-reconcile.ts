import { WeirError } from '../../contract/errors.ts'
import { ENDED_PHASES } from '../../contract/pipeline.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Audit } from '../audit.ts'
import type { Registry } from '../registry/registry.ts'
import type { RolloutService } from '../rollouts/rollout-service.ts'
import type { RolloutStore } from '../rollouts/rollout-store.ts'
import type { Store } from '../store.ts'
import type { Environments } from './environments.ts'
import type { PipelineGates } from './pipeline-gates.ts'
import { breakOff, effectOf, nextRun, type Effect, type PipelineSeen } from './pipeline-machine.ts'
import { approvalOf, rolloutOf } from './pipeline-rollout.ts'
import { stepOf, type Outputs, type Run } from './pipeline-run.ts'
import { pipelineSubject } from './pipeline-start.ts'
import type { PipelineStore } from './pipeline-store.ts'

export interface PipelineReconcilerOptions {
  readonly store: Store
  readonly runs: PipelineStore
  readonly environments: Environments
  readonly rollouts: Pick<RolloutStore, 'get'>
  readonly service: Pick<RolloutService, 'prepareStart' | 'act'>
  readonly registry: Pick<Registry, 'get' | 'fetch' | 'aliases' | 'setAlias'>
  readonly gates: PipelineGates
  readonly audit: Audit
  /** The public route. */
  readonly route: string
  readonly clock: Clock
  readonly log: Log
}

const TICK_MS = 300
/** Who did what the pipeline did, in the audit. */
export const ACTOR = 'pipeline'

/**
 * Carries runs forward: observe → decide → persist → apply. What a step begins elsewhere is begun in the same commit as the run
 * learns its name, so that a controller that dies begins nothing twice and forgets nothing.
 */
export function createPipelineReconciler(options: PipelineReconcilerOptions) {
  const { store, runs, environments, rollouts, service, registry, gates, audit, route, clock, log } = options
  let wake = new AbortController()

  async function packaged(run: Run): Promise<PipelineSeen['packaged']> {
    if (stepOf(run, 'package')?.status !== 'running') return null
    try {
      const found = await registry.get(run.model, run.version)
      if (found.digest !== run.digest)
        return {
          kind: 'wrong',
          message: `version ${run.version} is ${found.digest} by now, not ${run.digest}`,
        }
      await registry.fetch(run.model, run.version)
      return { kind: 'there', message: `version ${run.version} is ${run.digest}` }
    } catch (error) {
      const isAway = error instanceof WeirError && error.code === 'registry_unavailable'
      return { kind: isAway ? 'away' : 'wrong', message: describeProblem(error) }
    }
  }

  function rolloutSeen({ outputs }: Run): PipelineSeen['rollout'] {
    const found = outputs.rollout === null ? undefined : rollouts.get(outputs.rollout)
    if (found === undefined) return null
    const { phase, cause, message } = found.state
    const waits = phase === 'Paused' && cause === 'approval'
    return { phase, cause, message, awaitsPerson: waits && approvalOf(found) === 'pipeline' }
  }

  /** Asked after all else was seen, so that what it says is not older than that. */
  async function usersSeen(run: Run): Promise<PipelineSeen['users']> {
    const steps = ['production', 'alias-production'] as const
    if (!steps.some(name => stepOf(run, name)?.status === 'running')) return null
    const answer = await environments.ask('production')
    const aliases = await registry.aliases(run.model).catch(() => undefined) // the step says that it waits for it
    return { answer, alias: aliases && (aliases.production ?? null) }
  }

  async function observe(run: Run): Promise<PipelineSeen> {
    const { stagingRevision, canaryRevision } = run.outputs
    const before = {
      now: clock.now(),
      packaged: await packaged(run),
      staging: environments.deployed('staging', stagingRevision),
      canary: environments.deployed('canary', canaryRevision),
      production: environments.deployed('production', null),
      gates: gates.seen(run),
      rollout: rolloutSeen(run),
    }
    return { ...before, users: await usersSeen(run) }
  }

  /** Reads the run anew: an approval may have come in while we observed. */
  function decideAndPersist(observed: Run, seen: PipelineSeen): Run {
    return store.transaction(() => {
      const before = runs.get(observed.id)?.run
      if (before === undefined || JSON.stringify(before) !== JSON.stringify(observed))
        return before ?? observed
      const after = nextRun(before, seen)
      persist(before, after)
      return after
    })
  }

  function persist(before: Run, after: Run): void {
    if (JSON.stringify(before) === JSON.stringify(after)) return
    runs.save(after)
    for (const step of after.steps) {
      const { name, status, message, evidence } = step
      if (status === stepOf(before, name)?.status || status === 'pending') continue
      if (status === 'skipped' && STOPPED.has(after.phase)) continue // that the run was stopped says it
      record(after, {
        action: `${name} ${status}`,
        reason: message === '' ? after.message : message,
        evidence,
      })
    }
    if (hasPassed(before, after, 'gates')) markGood(after, 'staging', 'gates')
    if (hasPassed(before, after, 'production')) markGood(after, 'canary', 'rollout')
    if (before.phase !== after.phase)
      record(after, { action: after.phase.toLowerCase(), reason: after.message })
  }

  function markGood({ outputs, steps }: Run, name: 'staging' | 'canary', step: 'gates' | 'rollout'): void {
    const revision = name === 'staging' ? outputs.stagingRevision : outputs.canaryRevision
    const message = steps.find(known => known.name === step)?.message ?? step
    if (revision !== null) environments.markGood(name, revision, message)
  }

  function record(run: Run, told: { action: string; reason: string; evidence?: unknown }): void {
    const at = new Date(clock.now()).toISOString()
    const { action, reason, evidence = null } = told
    const known = evidence === null ? {} : { evidence }
    audit.append({ at, actor: ACTOR, action, subject: pipelineSubject(run.id), reason, ...known })
    log.info({ pipeline: run.id, action, phase: run.phase }, reason)
  }

  /** One commit: what is begun, and its name in the run. */
  function begun(run: Run, begin: () => Partial<Outputs>): void {
    store.transaction(() => {
      const now = runs.get(run.id)?.run
      if (now?.phase !== 'Running') return
      runs.save({ ...now, waitsFor: null, outputs: { ...now.outputs, ...begin() } })
    })
  }

  async function deploy(run: Run, to: 'staging' | 'canary'): Promise<void> {
    const { version } = run
    const output = (revision: number | null): Partial<Outputs> =>
      to === 'staging' ? { stagingRevision: revision } : { canaryRevision: revision }
    const from = to === 'staging' ? 'development' : 'staging'
    const reason = `pipeline ${run.id}`
    // also where it runs already: that it answers, and has the alias, is to be seen by this run
    const asked = { version, force: false, again: true, reason, actor: ACTOR }
    const begin = await environments.preparePromote({ ...asked, from, to })
    begun(run, () => output(begin().deploying?.revision ?? null))
  }

  async function startRollout(run: Run): Promise<void> {
    const start = await service.prepareStart(rolloutOf(run, route), {
      actor: ACTOR,
      reason: `pipeline ${run.id}`,
      run: run.id,
    })
    begun(run, () => ({ rollout: start().name }))
  }

  function revert({ id, message, outputs, cancellation }: Run): void {
    const order = { actor: ACTOR, reason: `pipeline ${id}: ${message}`, tell: cancellation === null }
    const { canaryRevision, stagingRevision } = outputs
    if (canaryRevision !== null) environments.revert('canary', { ...order, revision: canaryRevision })
    if (stagingRevision !== null) environments.revert('staging', { ...order, revision: stagingRevision })
  }

  async function apply(run: Run, effect: Effect, signal: AbortSignal): Promise<void> {
    switch (effect.kind) {
      case 'deploy':
        return deploy(run, effect.to)
      case 'gates':
        return gates.begin(run, signal)
      case 'start-rollout':
        return startRollout(run)
      case 'decide-rollout': {
        const reason = effect.reason ?? `pipeline ${run.id}`
        service.act(run.outputs.rollout ?? '', effect.verb, { actor: effect.by, reason })
        return
      }
      case 'alias-production': {
        const decision = { actor: ACTOR, reason: `pipeline ${run.id}: exactly ${run.digest} answers` }
        return registry.setAlias(run.model, 'production', run.version, decision)
      }
      case 'revert':
        return revert(run)
      case 'none':
    }
  }

  /** What is busy is asked again; what is refused for another reason ends the run, which is nothing that the version did. */
  function refused(run: Run, error: unknown): void {
    const isFinal =
      error instanceof WeirError &&
      error.statusCode >= 400 &&
      error.statusCode < 500 &&
      !RETRIED.has(error.code)
    const waitsFor = describeProblem(error)
    if (waitsFor !== run.waitsFor)
      log.warn({ pipeline: run.id, reason: waitsFor, err: error }, 'a step is tried again')
    store.transaction(() => {
      const now = runs.get(run.id)?.run
      if (now === undefined || ENDED_PHASES.has(now.phase)) return
      if (isFinal && now.phase === 'Running') persist(now, breakOff(now, waitsFor, clock.now()))
      else if (now.waitsFor !== waitsFor) runs.save({ ...now, waitsFor })
    })
  }

  /** The oldest has its turn when no other run is under way. */
  function takeTurn(): void {
    store.transaction(() => {
      const active = runs.active().map(({ run }) => run)
      const [first] = active
      if (first === undefined || active.some(({ phase }) => phase !== 'Queued')) return
      persist(first, { ...first, phase: 'Running', message: 'it is its turn' })
    })
  }

  async function tick(id: string, signal: AbortSignal): Promise<void> {
    const stored = runs.get(id)
    if (stored === undefined || ENDED_PHASES.has(stored.run.phase)) return
    const seen = await observe(stored.run)
    const run = decideAndPersist(stored.run, seen)
    const effect = effectOf(run, { ...seen, rollout: rolloutSeen(run) })
    await apply(run, effect, signal).catch((error: unknown) => refused(run, error))
    if (run.phase !== 'Running') gates.forget(run)
  }

  async function look(signal: AbortSignal): Promise<void> {
    takeTurn()
    const active = runs.active().filter(({ run }) => run.phase !== 'Queued')
    await Promise.all(active.map(({ run }) => tick(run.id, signal)))
  }

  return {
    /** One look at what is under way, for tests that decide when. */
    look,
    nudge: () => wake.abort(),
    async run(signal: AbortSignal): Promise<void> {
      const stop = () => wake.abort()
      signal.addEventListener('abort', stop)
      while (!signal.aborted) {
        wake = new AbortController()
        await look(signal).catch((error: unknown) => {
          log.warn({ reason: describeProblem(error), err: error }, 'looking after the pipeline failed')
        })
        if (!signal.aborted) await clock.sleep(TICK_MS, wake.signal)
      }
      signal.removeEventListener('abort', stop)
    },
  }
}

const STOPPED: ReadonlySet<Run['phase']> = new Set(['Reverting', 'Error'])
const RETRIED: ReadonlySet<string> = new Set(['conflict', 'precondition_failed', 'too_many_requests'])

function hasPassed(before: Run, after: Run, name: 'gates' | 'production'): boolean {
  return stepOf(after, name)?.status === 'passed' && stepOf(before, name)?.status !== 'passed'
}
