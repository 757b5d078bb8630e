import type { AuditRecord, ControllerClient } from '../../client/controller.ts'
import type { EnvironmentName } from '../../contract/environment.ts'
import type { PipelineView } from '../../contract/pipeline.ts'

/** More than any test leaves behind. */
const LIMIT = 1000

/** What the audit says about something since a record of it, oldest first. */
export async function trailOf(
  controller: Pick<ControllerClient, 'audit'>,
  subject: string,
  since = 0,
): Promise<AuditRecord[]> {
  const newestFirst = await controller.audit({ subject, limit: LIMIT })
  return newestFirst.filter(({ seq }) => seq > since).toReversed()
}

/** The number of the newest record of all. */
export async function lastSeq(controller: Pick<ControllerClient, 'verifyAudit'>): Promise<number> {
  return (await controller.verifyAudit()).head.seq
}

/** What the audit must say of a run that ended, in this order; that a step is under way it may say in between. */
export function expectedTrail({ phase, steps }: PipelineView): string[] {
  const cancelledAt = steps.findIndex(({ status }) => status === 'cancelled')
  if (cancelledAt !== -1)
    return ['started', 'running', ...steps.slice(0, cancelledAt).map(passedOrSkipped), 'cancel', 'cancelled']
  const stopsAt = steps.findIndex(({ status }) => status === 'failed' || status === 'error')
  const done = stopsAt === -1 ? steps : steps.slice(0, stopsAt + 1)
  const ended = done.flatMap(({ name, status, message }) => {
    const [, verb] = (name === 'approval' && /^(approve|reject)e?d by /.exec(message)) || []
    return [...(verb === undefined ? [] : [verb]), `${name} ${status}`]
  })
  const end = phase === 'Failed' ? ['reverting', 'failed'] : [phase.toLowerCase()]
  return ['started', 'running', ...ended, ...end]
}

function passedOrSkipped({ name, status }: PipelineView['steps'][number]): string {
  return `${name} ${status}`
}

/** Without that a step is under way. */
export function decisions(trail: readonly AuditRecord[]): string[] {
  return trail.map(({ action }) => action).filter(action => !action.endsWith(' running'))
}

const INTO = ['switching', 'aliasing', 'deployed'] as const
/** What the audit says of an environment that a version came into and was reverted from. */
export const THERE_AND_BACK: readonly string[] = ['promote', ...INTO, 'revert', ...INTO]
/** The same where nothing was there before it. */
export const THERE_AND_STOPPED: readonly string[] = ['promote', ...INTO, 'revert', 'stopped']
/** And of a version that was never ready. */
export const NEVER_THERE: readonly string[] = ['promote', 'returning', 'revert', 'deployment-failed']

/** What was done in an environment since a record of the audit, in no order, without the writes to the gateway. */
export async function doneIn(
  controller: Pick<ControllerClient, 'audit'>,
  environment: EnvironmentName,
  since: number,
): Promise<string[]> {
  const trail = await trailOf(controller, `environment/${environment}`, since)
  return trail
    .map(({ action }) => action)
    .filter(action => action !== 'policy-applied')
    .toSorted()
}
