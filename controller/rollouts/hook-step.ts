import type { StepHook } from '../../contract/webhook.ts'
import type { Answer } from '../alerts/outbox.ts'
import type { StepView } from './steps.ts'

// A step of the rollout that somebody else's system does, and answers for.

/** The key in the outbox of what a step asks; a step is entered once. */
export function stepKey(rollout: string, step: number): string {
  return `${rollout}/step/${step}/`
}

/** What has been answered to webhooks that decide, when it was looked. */
export interface HookWords {
  /** The webhook of type `rollback` that said yes. */
  readonly rollbackAskedBy: string | undefined
  /** To `hook` steps, by the step's index; absent where it was not asked. */
  readonly steps: ReadonlyMap<number, Answer>
}

/** How people call a step's webhook. The path of its address may be a secret. */
function nameOfStep(step: number, { url }: StepHook): string {
  return `the webhook of step ${step + 1} (${new URL(url).origin})`
}

export function waitingForStep(
  step: number,
  { hook }: StepView<'hook'>,
  answer: Pick<Answer, 'attempts' | 'reason'> | undefined,
): string {
  const waiting = `waiting for ${nameOfStep(step, hook)}`
  if (!answer || answer.attempts === 0) return `${waiting}; it has not answered yet`
  return `${waiting}; it did not say yes at attempt ${answer.attempts} of ${hook.retries + 1}: ${answer.reason}`
}

/** Why the rollout is withdrawn over it; null while it may still say yes. */
export function whyStepFailed(
  step: number,
  { hook }: StepView<'hook'>,
  answer: Answer | undefined,
): string | null {
  if (!answer || answer.passed || answer.attempts <= hook.retries) return null
  return `${nameOfStep(step, hook)} did not say yes at ${answer.attempts} attempts: ${answer.reason}`
}
