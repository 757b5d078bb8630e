import { WeirError } from '../../contract/errors.ts'
import type { PipelineSettings } from '../../contract/pipeline.ts'
import type { ModelVersion } from '../registry/registry.ts'
import type { StoredRollout } from '../rollouts/rollout-store.ts'
import type { Verb } from '../rollouts/verbs.ts'
import { approvalOf } from './pipeline-rollout.ts'
import type { Run } from './pipeline-run.ts'
import type { PipelineStore } from './pipeline-store.ts'

// Who may let a version go to all users, whichever way is taken: the run's own verb, its rollout's verbs, or a promotion by hand.

/** Who asks without a name. */
const NOBODY = 'operator'

/** Throws where somebody without a name decides, or where it is for others to decide. */
export function requireApprover({ approvers }: Pick<PipelineSettings, 'approvers'>, by: string): void {
  requireName(by, 'an approval needs a name: say who approves (--as NAME, or the header x-weir-actor)')
  if (approvers !== undefined && !approvers.includes(by))
    throw new WeirError('forbidden', `${by} is none of the approvers: ${approvers.join(', ')}`)
}

export function requireName(by: string, message: string): void {
  if (by === NOBODY) throw new WeirError('invalid_setting', message)
}

/** Throws where the verb would lead a run's version past an approval that the one who asks may not give. */
export type RequireMayAct = (rollout: StoredRollout, verb: Verb, actor: string) => void

export function requireMayAct(runs: Pick<PipelineStore, 'active'>): RequireMayAct {
  return (rollout, verb, actor) => {
    const run = runs.active().find(({ run: { outputs } }) => outputs.rollout === rollout.name)?.run
    if (run === undefined || !passesApproval(rollout, verb) || isApproved(run)) return
    requireApprover(run.settings, actor)
  }
}

function passesApproval(rollout: StoredRollout, verb: Verb): boolean {
  if (verb === 'approve' || verb === 'promote') return true
  return verb === 'skip-step' && approvalOf(rollout) !== null
}

/** Where the evidence decides alone, only approvers who are named nevertheless are to be heard. */
function isApproved({ settings, outputs }: Run): boolean {
  const asksNobody = settings.approval === 'automatic' && settings.approvers === undefined
  return asksNobody || outputs.approval?.approved === true
}

type Content = Pick<ModelVersion, 'digest'>

/** Throws where a rollout beside the run would lead its version past the approval. */
export function requireMayStart(
  runs: Pick<PipelineStore, 'active'>,
): (content: Content, actor: string) => void {
  return (content, actor) => {
    const [doubt] = doubtsAboutApproval(runs)(content, actor)
    if (doubt !== undefined) throw doubt
  }
}

/** Why a version whose run waits for an approval, or has yet to come to it, should not go to production by hand. */
export type DoubtsAboutApproval = (content: Content, actor: string) => WeirError[]

export function doubtsAboutApproval(runs: Pick<PipelineStore, 'active'>): DoubtsAboutApproval {
  return ({ digest }, actor) => {
    const run = runs.active().find(active => active.run.digest === digest)?.run
    const approvers = run?.settings.approvers
    if (run === undefined || approvers === undefined || approvers.includes(actor) || isApproved(run))
      return []
    const message = `run ${run.id} has yet to be approved, and ${actor} is none of the approvers: ${approvers.join(', ')}`
    return [new WeirError('forbidden', message)]
  }
}
