import { armsOf, fallOf, type Experiment } from './arms.ts'
import { isJudged, type RolloutState } from './rollout-state.ts'

/** One arm of an experiment as the API shows it; stable, the control, is the first. Null: not known yet, or without meaning. */
export interface ArmView {
  readonly variant: string
  readonly version: string
  readonly digest: string
  /** `lost`: another arm has won. */
  readonly standing: 'control' | 'starting' | 'open' | 'withdrawn' | 'winner' | 'lost'
  /** Its share of users, percent; null where a header decides, and when the experiment is over. */
  readonly weight: number | null
  /** The header's values whose users it gets; null where the sticky key decides. */
  readonly values: readonly string[] | null
  /** What users told of it: how many, and how many of those what is wanted. */
  readonly trials: number
  readonly successes: number
  /** E-values against "no better" and "no worse than stable", and the one at which either decides. */
  readonly better: number | null
  readonly worse: number | null
  readonly threshold: number | null
  /** E-value against "does no harm", and the one that withdraws it. */
  readonly harm: number | null
  readonly harmThreshold: number | null
  /** By which harm is judged. */
  readonly requests: number
  readonly cause: string | null
  readonly message: string | null
}

export function armViews(state: RolloutState): readonly ArmView[] {
  const { experiment, stable, lastDecision } = state
  if (experiment === null) return []
  const standings = lastDecision?.experiment
  const isDrawn = experiment.by === null && (state.phase === 'Pending' || isJudged(state))
  const takenBp = armsOf(state).reduce((sum, { weightBp }) => sum + weightBp, 0)
  const control: ArmView = {
    ...emptyView,
    variant: 'stable',
    version: stable.version,
    digest: stable.digest,
    standing: 'control',
    weight: isDrawn ? (10_000 - takenBp) / 100 : null,
    values: valuesOf(experiment, 'stable'),
    ...standings?.control,
  }
  const arms = armsOf(state).map(({ variant, version, digest, weightBp }): ArmView => {
    const standing = standings?.arms.find(arm => arm.variant === variant)
    const fall = fallOf(experiment, variant)
    return {
      ...emptyView,
      variant,
      version,
      digest,
      standing: standingOf(experiment, variant),
      weight: isDrawn ? weightBp / 100 : null,
      values: valuesOf(experiment, variant),
      trials: standing?.trials ?? 0,
      successes: standing?.successes ?? 0,
      better: standing?.better ?? null,
      worse: standing?.worse ?? null,
      threshold: standings?.threshold ?? null,
      harm: standing?.harm ?? null,
      harmThreshold: lastDecision?.threshold ?? null,
      requests: standing?.requests ?? 0,
      cause: fall?.cause ?? null,
      message: fall?.message ?? null,
    }
  })
  return [control, ...arms]
}

const emptyView = {
  trials: 0,
  successes: 0,
  better: null,
  worse: null,
  threshold: null,
  harm: null,
  harmThreshold: null,
  requests: 0,
  cause: null,
  message: null,
} satisfies Partial<ArmView>

function standingOf(experiment: Experiment, variant: string): ArmView['standing'] {
  if (fallOf(experiment, variant)) return 'withdrawn'
  if (experiment.winner !== null) return experiment.winner === variant ? 'winner' : 'lost'
  return experiment.isDealt ? 'open' : 'starting'
}

function valuesOf({ by }: Experiment, variant: string): readonly string[] | null {
  if (by === null) return null
  return by.rules.filter(({ to }) => to === variant).flatMap(({ values }) => values)
}
