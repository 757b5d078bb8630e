import type { RoutePolicy } from '../contract/policy.ts'
import { canonicalJson } from '../lib/hash.ts'

type Settings = Partial<RoutePolicy>

/** The settings in which two policies differ, as each has them. */
export interface PolicyDifference {
  readonly before: Settings
  readonly after: Settings
}

export function changedSettings(before: RoutePolicy, after: RoutePolicy): PolicyDifference {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof RoutePolicy)[]
  const changed = names.filter(name => text(before[name]) !== text(after[name]))
  const only = (policy: RoutePolicy) => Object.fromEntries(changed.map(name => [name, policy[name]]))
  return { before: only(before), after: only(after) }
}

/** "weights stable 80 %, candidate 20 %; mirror 10 % to candidate; timeoutMs 500": one part for each changed setting. */
export function describeSettings({ before, after }: PolicyDifference): string {
  const names = Object.keys({ ...before, ...after }) as (keyof RoutePolicy)[]
  if (names.length === 0) return 'written anew with the same settings'
  return names.map(name => `${name} ${describe(name, after)}`).join('; ')
}

function describe(name: keyof RoutePolicy, policy: Settings): string {
  if (policy[name] === undefined) return 'off'
  switch (name) {
    case 'weights':
      return Object.entries(policy.weights ?? {})
        .map(([variant, percent]) => `${variant} ${percent} %`)
        .join(', ')
    case 'mirror':
      return `${policy.mirror?.percent} % to ${policy.mirror?.to}`
    case 'sticky': {
      const [kind, value] = Object.entries(policy.sticky ?? {})[0] ?? []
      return kind === 'clientAddress' ? 'client-address' : `${kind}=${String(value)}`
    }
    default:
      return text(policy[name]).slice(0, MAX_TEXT)
  }
}

const MAX_TEXT = 200

function text(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value)
}
