import type { GatewayClient, PatchedPolicy, PolicyView } from '../client/gateway.ts'
import { routePolicy } from '../contract/policy.ts'
import type { Clock } from '../lib/clock.ts'
import { canonicalJson } from '../lib/hash.ts'
import type { Log } from '../lib/log.ts'
import { mergePatch } from '../lib/merge-patch.ts'
import { describeProblem } from '../lib/problem.ts'
import type { Audit } from './audit.ts'
import { changedSettings, describeSettings } from './policy-difference.ts'
import { createPolicyTable, type Intent, type KnownPolicy } from './policy-table.ts'
import type { Store } from './store.ts'

interface RecordedGatewayOptions {
  readonly gateway: GatewayClient
  readonly store: Store
  readonly audit: Audit
  readonly clock: Clock
  readonly log: Log
}

export type RecordedGateway = ReturnType<typeof createRecordedGateway>

const LOOK_EVERY_MS = 1000

/**
 * The gateway's operator API with a record of every policy version: of ours with what they were for, of everybody else's under
 * the actor "operator". What is about to be written is stored first, so that a controller that dies between the write and its
 * answer recognises its own version when it reads it, and records it then.
 */
export function createRecordedGateway({ gateway, store, audit, clock, log }: RecordedGatewayOptions) {
  const table = createPolicyTable(store)

  /** `before`: what was known when the question was sent. */
  function notice(seen: PolicyView, before: KnownPolicy | undefined): void {
    const route = seen.policy.name
    const known = table.get(route)
    if (known === undefined) return table.remember(route, seen)
    if (seen.version === known.version) return
    const overtaken = seen.version < known.version && seen.version >= (before?.version ?? 0)
    if (overtaken) return // a newer answer came first; a version that went back is a gateway with another store
    const own = known.intent !== null && saysAll(seen.policy, known.intent.patch)
    store.transaction(() => {
      table.remember(route, seen)
      if (own && known.intent !== null) recordOwn(route, known.intent, [known.version, seen.version])
      else recordForeign(known, seen)
    })
  }

  function recordOwn(route: string, { subject, reason }: Intent, versions: [number, number]): void {
    record({
      actor: 'controller',
      action: 'policy-applied',
      subject: subject ?? route,
      reason: reason ?? 'written by the controller',
      versions,
    })
  }

  function recordForeign(known: KnownPolicy, { policy, version }: PolicyView): void {
    const evidence = changedSettings(known.policy, policy)
    const reason = describeSettings(evidence)
    const versions: [number, number] = [known.version, version]
    record({ actor: 'operator', action: 'policy-changed', subject: policy.name, reason, evidence, versions })
  }

  function record({ versions: [before, after], ...rest }: RecordOptions): void {
    const at = new Date(clock.now()).toISOString()
    audit.append({ at, ...rest, policyVersion: { before, after } })
  }

  async function route(name: string): Promise<PolicyView> {
    const before = table.get(name)
    const view = await gateway.route(name)
    notice(view, before)
    return view
  }

  async function routes(): Promise<PolicyView[]> {
    const before = new Map(table.all().map(known => [known.route, known]))
    const views = await gateway.routes()
    for (const view of views) notice(view, before.get(view.policy.name))
    const present = new Set(views.map(({ policy }) => policy.name))
    for (const known of before.values()) if (!present.has(known.route)) noticeRemoval(known)
    return views
  }

  function noticeRemoval({ route: subject, version }: KnownPolicy): void {
    const reason = 'the route was removed'
    store.transaction(() => {
      table.forget(subject)
      record({ actor: 'operator', action: 'route-removed', subject, reason, versions: [version, null] })
    })
  }

  /** As the gateway's, with what the record says: what it was about and why. */
  async function patchRoute(
    name: string,
    patch: unknown,
    options: PatchOptions = {},
  ): Promise<PatchedPolicy> {
    if (table.get(name) === undefined) await route(name)
    const { ifMatch, subject, reason } = options
    const intent = { patch, subject, reason }
    table.intend(name, intent)
    const patched = await gateway.patchRoute(name, patch, ifMatch === undefined ? {} : { ifMatch })
    store.transaction(() => {
      const known = table.get(name)
      if (known !== undefined && patched.version <= known.version) return // a read was faster, or nothing changed
      table.remember(name, patched)
      recordOwn(name, intent, [ifMatch ?? known?.version ?? 0, patched.version])
    })
    return patched
  }

  /** Looks at all routes each second until `signal` aborts, so that also what no rollout reads is noticed. */
  async function watch(signal: AbortSignal): Promise<void> {
    let away = false
    while (!signal.aborted) {
      const problem = await routes().then(
        () => null,
        (error: unknown) => describeProblem(error),
      )
      if (problem !== null && !away) log.warn({ reason: problem }, 'the policies cannot be read')
      away = problem !== null
      await clock.sleep(LOOK_EVERY_MS, signal)
    }
  }

  return { ...gateway, route, routes, patchRoute, watch }
}

interface PatchOptions {
  readonly ifMatch?: number
  /** What the change is for, such as a rollout's name; the route by default. */
  readonly subject?: string
  readonly reason?: string
}

interface RecordOptions {
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string
  readonly evidence?: unknown
  readonly versions: [before: number, after: number | null]
}

/** Whether a patch would change nothing. */
export function saysAll(policy: PolicyView['policy'], patch: unknown): boolean {
  const patched = routePolicy.safeParse(mergePatch(policy, patch))
  return patched.success && canonicalJson(patched.data) === canonicalJson(policy)
}
