import { createServingClient } from '../../client/serving.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { DeploymentStatus } from './runtime.ts'

type InstanceStatus =
  | { readonly kind: 'ready'; readonly digest: string }
  | { readonly kind: 'starting' | 'refused'; readonly reason: string }

/** What the instances of one deployment say of themselves, all of them together. */
export async function statusOf(endpoints: readonly string[]): Promise<DeploymentStatus> {
  const instances = await Promise.all(endpoints.map(askInstance))
  const refused = instances.find(({ kind }) => kind === 'refused')
  if (refused?.kind === 'refused') return { kind: 'refused', endpoints, reason: refused.reason }
  const ready = instances.filter(instance => instance.kind === 'ready')
  const waited = instances.find(instance => instance.kind === 'starting')
  if (waited?.kind === 'starting') {
    const soFar = endpoints.length > 1 ? `${ready.length} of ${endpoints.length} are ready: ` : ''
    return { kind: 'starting', endpoints, reason: `${soFar}${waited.reason}` }
  }
  // instances of different digests have none together, and so never the one that is looked for
  const digests = new Set(ready.map(({ digest }) => digest))
  return { kind: 'ready', endpoints, digest: [...digests].join(' and ') }
}

async function askInstance(baseUrl: string): Promise<InstanceStatus> {
  const client = createServingClient({ baseUrl })
  const readiness = await client.ready()
  if (readiness.state === 'not-ready' && readiness.code === 'model_refused')
    return { kind: 'refused', reason: readiness.reason }
  if (readiness.state !== 'ready') return { kind: 'starting', reason: readiness.reason }
  try {
    const { digest } = await client.version()
    return { kind: 'ready', digest }
  } catch (error) {
    return { kind: 'starting', reason: describeProblem(error) } // it went away between the two questions
  }
}
