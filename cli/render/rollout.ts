import type { Arm, Rollout } from '../../client/controller.ts'
import { inOneLine } from './one-line.ts'

/** One line on where a rollout stands. */
export function rolloutLine(rollout: Rollout): string {
  const { name, phase, cause, weight, message, step } = rollout
  const place =
    phase === 'Progressing' || phase === 'Paused'
      ? ` step ${Math.min(step.index + 1, step.of)}/${step.of} ${step.name}`
      : ''
  const why = cause === null ? '' : ` (${cause})`
  return inOneLine(`${name}  ${phase}${why}${place}  candidate ${weight} %  ${message}`)
}

/** Everything that an operator wants to know of one rollout. */
export function describeRollout(rollout: Rollout): string {
  const { versions, decision, startedAt, endedAt, withdrawMs, gapMs } = rollout
  const lines = [
    rolloutLine(rollout),
    `  ${versions.model} on route ${rollout.route}: version ${versions.stable.version} → ${versions.candidate.version}`,
    `  started ${startedAt}${endedAt === null ? '' : `, ended ${endedAt}`}`,
  ]
  lines.push(
    ...processLines(rollout),
    ...rollout.arms.map(armLine),
    ...outlookLines(rollout),
    ...metricLines(rollout),
  )
  if (withdrawMs !== null) lines.push(`  traffic was off the candidate ${withdrawMs} ms after the decision`)
  if (gapMs !== null) lines.push(`  the route was closed for ${gapMs} ms`)
  if (decision !== null) {
    lines.push(
      `  evidence of harm ${formatEvidence(decision.e)} of ${decision.threshold} that withdraw it`,
      `  excess over stable at most ${(decision.u * 100).toFixed(2)} percentage points (95 % confidence)`,
      `  judged on ${decision.exposure.candidate} candidate and ${decision.exposure.stable} stable requests`,
    )
  }
  return lines.map(inOneLine).join('\n')
}

/** Said where a version has several, or another variant has any. */
function processLines({ processes, arms }: Rollout): readonly string[] {
  const counts = Object.entries(processes)
  const isUsual = arms.length > 0 || (counts.length <= 2 && counts.every(([, count]) => count <= 1))
  if (isUsual) return []
  return [`  processes: ${counts.map(([variant, count]) => `${variant} ${count}`).join(', ')}`]
}

function armLine(arm: Arm): string {
  const { variant, version, standing, cause, weight, values, trials, successes, better, worse, threshold } =
    arm
  const users = values === null ? share(weight) : `, ${values.join(', ') || 'everybody else'}`
  const told =
    trials === 0 ? 'nothing told' : `${successes} of ${trials} (${((100 * successes) / trials).toFixed(1)} %)`
  const place = `  ${variant}, version ${version}${users}: ${standing}${cause === null ? '' : ` (${cause})`}, ${told}`
  if (better === null || worse === null || threshold === null) return place
  return `${place}; better ${formatEvidence(better)}, worse ${formatEvidence(worse)} of ${threshold}`
}

function share(weight: number | null): string {
  return weight === null ? '' : `, ${weight} %`
}

function outlookLines({ endedAt, outlook, warnings }: Rollout): readonly string[] {
  if (endedAt !== null) return []
  const told = warnings.map(({ name, message }) => `  warning (${name}): ${message}`)
  if (outlook === null || outlook.seconds === null) return told
  const uncounted = outlook.needsPerson ? ', not counting what it takes a person to answer' : ''
  return [
    `  about ${Math.ceil(outlook.seconds)} s until it is promoted, if it is as good as stable${uncounted}`,
    ...told,
  ]
}

function metricLines({ metrics }: Rollout): readonly string[] {
  return metrics.map(({ name, value, action, reason }) => {
    const measured = value === null ? 'not measured' : `is ${value}`
    return `  metric ${name} ${measured}: ${reason ?? action}`
  })
}

export function formatEvidence(e: number): string {
  return e >= 1e6 ? e.toExponential(1) : e >= 100 ? e.toFixed(0) : e.toFixed(2)
}
