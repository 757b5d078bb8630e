import { armVariants, type Ab } from '../../contract/ab.ts'
import type { ArmStanding, Decision, Look, Standings, Told } from '../../contract/history.ts'
import { createGrowth } from '../evidence/growth.ts'
import { abThreshold } from './ab.ts'
import { createContest, type Contest } from './contest.ts'
import type { Judge } from './judge.ts'
import type { JudgeOptions } from './options.ts'
import { toShort } from './reason.ts'
import { createSilentGate } from './silent-gate.ts'

/**
 * Judges by what users say or do: the arm that serves them better wins, decidable at any look. Harm is watched all along, as in
 * a canary, and outranks what users like. Each arm has a contest of its own with stable; the levels are split over the arms.
 */
export function createExperiment(options: JudgeOptions, ab: Ab): Judge {
  const variants = armVariants(ab)
  const comparisons = variants.length
  const contests = variants.map(variant => createContest(options, { variant, goal: ab.goal, comparisons }))
  const threshold = abThreshold(comparisons)
  const grownBy = createGrowth()
  const epochs = new Set<string>()
  const worst = () => mostHarmful(contests)?.harm

  function decide(look: Look): Decision {
    const arms = contests.map(contest => contest.standing())
    const winner = winnerOf(arms, contests)
    const experiment: Standings = {
      threshold,
      control: controlOf(contests),
      arms,
      winner: winner?.variant ?? null,
    }
    const word = wordOn(arms, winner)
    const figures = { ...figuresOf(look, contests, options.alpha / comparisons), experiment }
    const told = `${describe(experiment)}; ${spokenOf(word, contests)}`
    return { ...figures, action: word.action, cause: word.cause, reason: inWords(word, told) }
  }

  return {
    step(look) {
      const grown = grownBy(look)
      const taking = new Set(look.arms ?? dealtByWeight(look))
      if (look.epoch !== undefined && taking.size > 0) epochs.add(String(look.epoch))
      // where the epoch is not known, neither is whose feedback it is
      const told = look.epoch === undefined ? [] : grown
      for (const contest of contests)
        contest.step({ look, grown: told, epochs, takesPart: taking.has(contest.variant) })
      return decide(look)
    },
    holds: () => contests[0]?.harm.holds() ?? [],
    metrics: () => contests[0]?.harm.metrics() ?? [],
    evidence: () => worst()?.evidence() ?? NO_HARM,
    endedBlock: () => contests.some(({ harm }) => harm.endedBlock()),
    ...createSilentGate(options),
    bounds: () => worst()?.bounds() ?? { failure: 1 },
  }
}

const NO_HARM = { failure: 1, client_error: 1, latency: 1, absolute: 1 }

/** Of looks that were taken when there was one arm, and its weight said whether it took part. */
function dealtByWeight({ weights }: Look): readonly string[] {
  return (weights['candidate'] ?? 0) === 0 ? [] : ['candidate']
}

function winnerOf(arms: readonly ArmStanding[], contests: readonly Contest[]): ArmStanding | undefined {
  const held = new Set(contests.filter(({ harm }) => harm.holds().length > 0).map(({ variant }) => variant))
  return arms
    .filter(({ variant, verdict }) => verdict === 'better' && !held.has(variant))
    .toSorted((a, b) => b.better - a.better)[0]
}

/** What is to be done about the whole, and the arm that it is about. */
interface Word {
  readonly action: Decision['action']
  readonly cause: Decision['cause']
  readonly arm: ArmStanding | undefined
  readonly isOnly: boolean
}

/** An arm that is withdrawn leaves the others; without any the experiment is over. */
function wordOn(arms: readonly ArmStanding[], winner: ArmStanding | undefined): Word {
  const isOnly = arms.length === 1
  const lost = arms.filter(({ cause }) => cause !== null)
  const last = lost.at(-1)
  if (last && lost.length === arms.length) return { action: 'withdraw', cause: last.cause, arm: last, isOnly }
  if (winner) return { action: 'advance', cause: null, arm: winner, isOnly }
  return { action: 'hold', cause: null, arm: undefined, isOnly }
}

function inWords({ action, cause, arm, isOnly }: Word, told: string): string {
  const it = isOnly ? 'it' : (arm?.variant ?? 'it')
  if (action === 'advance') return `users do better with ${it}: ${told}`
  if (cause === 'feedback') return `users do worse with ${it}: ${told}`
  if (action === 'withdraw') return told
  return `undecided: ${told}`
}

/** Of the arms that nothing was decided about, while there is any. */
function mostHarmful(contests: readonly Contest[]): Contest | undefined {
  const byHarm = contests.toSorted((a, b) => b.standing().harm - a.standing().harm)
  return byHarm.find(contest => contest.standing().cause === null) ?? byHarm[0]
}

/** What the judge of harm says of the arm that the word is about, or of the one with most evidence against it. */
function spokenOf({ arm }: Word, contests: readonly Contest[]): string {
  const contest = contests.find(({ variant }) => variant === arm?.variant) ?? mostHarmful(contests)
  const said = contest ? harmOf(contest) : 'no evidence yet'
  return contests.length === 1 ? said : `${contest?.variant}: ${said}`
}

/** Not which excess is ruled out: no traffic waits for that here. */
function harmOf({ harm, judged }: Contest): string {
  const decision = judged()
  if (!decision) return 'no evidence yet'
  if (decision.action === 'withdraw' || !harm.endedBlock()) return decision.reason
  const figures = `harm is not proven (e ${toShort(decision.e)}, threshold ${toShort(decision.threshold)})`
  return [...harm.holds(), figures].join('; ')
}

function figuresOf(look: Look, contests: readonly Contest[], alpha: number) {
  const judged = contests.flatMap(contest => contest.judged() ?? [])
  return {
    t: look.t,
    e: mostHarmful(contests)?.judged()?.e ?? 1,
    threshold: 1 / alpha,
    u: Math.max(...judged.map(({ u }) => u)),
    exposure: {
      stable: Math.max(...judged.map(({ exposure }) => exposure.stable)),
      candidate: judged.reduce((sum, { exposure }) => sum + exposure.candidate, 0),
    },
  }
}

/** Each contest takes what users of stable told when it takes what its arm's told; the furthest has all of it. */
function controlOf(contests: readonly Contest[]): Standings['control'] {
  const [told = { successes: 0, trials: 0 }] = contests
    .map(contest => contest.control())
    .toSorted((a, b) => b.trials - a.trials)
  const requests = Math.max(0, ...contests.map(contest => contest.judged()?.exposure.stable ?? 0))
  return { ...told, requests }
}

function describe({ arms, control }: Standings): string {
  const others = arms.map(arm => `${arm.variant} ${inShares(arm)}`)
  return [...others, `stable ${inShares(control)}`].join(', ')
}

export function inShares({ successes, trials }: Told): string {
  return trials === 0 ? 'none' : `${successes} of ${trials} (${((100 * successes) / trials).toFixed(1)} %)`
}
