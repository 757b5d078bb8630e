import type { StoredRollout } from '../rollouts/rollout-store.ts'
import { planOf } from '../rollouts/strategies/plan.ts'
import type { Run } from './pipeline-run.ts'

/** Before anything else is known, as `weir rollout start` has it. */
const DEFAULT_STRATEGY = { canary: { steps: [{ setWeight: 10 }, { ramp: { riskBudget: '1pp', to: 95 } }] } }
const DEFAULT_ANALYSIS = { interval: '1s' }
/** A person may take days: the rollout's own deadline is for what is stuck. */
const DEADLINE_WITH_PERSON = { after: '720h', do: 'rollback' }

/** The rollout file of a run: its strategy, with a person's approval as the last thing before all users. */
export function rolloutOf({ source, settings, model, version, outputs }: Run, route: string): object {
  const written = isRecord(source) ? source : {}
  const strategy = isRecord(written['strategy']) ? written['strategy'] : DEFAULT_STRATEGY
  const byPerson = settings.approval === 'person' && outputs.approval === null // who was asked before is not asked again
  const onDeadline = written['onDeadline'] ?? (byPerson ? DEADLINE_WITH_PERSON : undefined)
  return {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: {
      route,
      model, // of a first version the route does not tell
      modelVersion: version,
      strategy: byPerson ? withApproval(strategy) : strategy,
      analysis: written['analysis'] ?? DEFAULT_ANALYSIS,
      ...(onDeadline !== undefined && { onDeadline }),
    },
  }
}

function withApproval(strategy: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(strategy).map(([name, value]) => {
      if (!isRecord(value) || name === 'recreate') return [name, value]
      if (name !== 'canary') return [name, { ...value, approval: true }]
      const { steps } = value
      return [name, Array.isArray(steps) ? { ...value, steps: [...steps, { approval: {} }] } : value]
    }),
  )
}

/**
 * Whose approval a rollout of a run stands at: a strategy's own steps may ask for some, the last one is the pipeline's. Null: at
 * none.
 */
export function approvalOf({
  file,
  state,
}: Pick<StoredRollout, 'file' | 'state'>): 'own' | 'pipeline' | null {
  const { steps } = planOf(file.spec, state)
  const last = steps.findLastIndex(step => 'approval' in step)
  const step = steps[state.step]
  if (step === undefined || !('approval' in step)) return null
  return state.step === last ? 'pipeline' : 'own'
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
