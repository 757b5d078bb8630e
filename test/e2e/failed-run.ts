import type { Test } from 'tap'
import type { PipelineView } from '../../contract/pipeline.ts'
import { decisions, expectedTrail, trailOf } from './audit-trail.ts'
import { MODEL, type startMortalStack } from './mortal-stack.ts'
import { checkDeaths } from './pipeline-deaths.ts'

export interface Failure {
  /** Why, as the run and the registry know it. */
  readonly reason: RegExp
  /** Where the controller must have been killed. */
  readonly transitions: readonly string[]
}

/** What holds of every run that failed, wherever it was by then. */
export async function checkFailed(
  t: Test,
  { ask, failed, environment, life, production }: Awaited<ReturnType<typeof startMortalStack>>,
  run: PipelineView,
  { reason, transitions }: Failure,
): Promise<void> {
  t.match(run, { phase: 'Failed', message: reason }, run.message)
  checkDeaths(t, life.deaths(), { run: run.id, transitions })
  const trail = await ask(async client => trailOf(client, `pipeline/${run.id}`))
  t.same(decisions(trail), expectedTrail(run), 'the audit tells each step once')
  const { current } = await environment('production')
  t.same(current, production, 'production is what it was')
  const version = await failed(run.modelVersion)
  t.match(version.failed, reason, 'it stays registered, with the reason, and no alias leads to it')
  const told = await ask(async client => trailOf(client, `${MODEL}/${run.modelVersion}`))
  t.equal(told.filter(({ action }) => action === 'mark-failed').length, 1)
}
