import type { BlockList } from 'node:net'
import { isIPv6 } from 'node:net'
import type { RoutePolicy } from '../../contract/policy.ts'
import { createHeaderSplit } from './header-split.ts'
import { createSplit, type Share } from './split.ts'
import { createPinning } from './sticky.ts'

export interface Choice {
  readonly variant: string
  readonly kind: 'split' | 'override'
  /** The sticky cookie to set, when the client brought none. */
  readonly newCookie?: string
}

export type Refusal = 'variant_not_found' | 'route_closed'

export interface ChoiceFacts {
  readonly override: string | undefined
  readonly peerAddress: string
  readonly clientAddress: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** How a route deals its requests, derived once per policy. */
export interface Dealer {
  readonly next: () => string | undefined
  /** Where a request belongs by what its header says. */
  readonly byHeader: (headers: ChoiceFacts['headers']) => string | undefined
  /** Where a sticky key belongs. */
  readonly pin: (key: string) => string | undefined
  readonly sticky: RoutePolicy['sticky']
  readonly headerRoutes: RoutePolicy['headerRoutes']
  readonly variants: RoutePolicy['variants']
  readonly overrideFrom: BlockList
}

/** Weights that did not change keep their place in the split: counts are exact between weight changes. */
export function createDealer(
  policy: RoutePolicy,
  overrideFrom: BlockList,
  shares: readonly Share[],
  next = createSplit(shares),
): Dealer {
  const { sticky, variants, name, headerRoutes } = policy
  const pin = createPinning(shares, sticky?.salt ?? name)
  const byHeader = shares.length === 0 ? () => undefined : createHeaderSplit(policy) // closed is closed for everybody
  return { next, byHeader, pin, sticky, headerRoutes, variants, overrideFrom }
}

export function sharesOf(weightsBp: Readonly<Record<string, number>>): Share[] {
  return Object.entries(weightsBp)
    .filter(([, weightBp]) => weightBp > 0)
    .map(([variant, weightBp]) => ({ variant, weightBp }))
}

/** Override (where its caller may use it) before header routes, the split by a header, sticky key and weights. */
export function choose(dealer: Dealer, facts: ChoiceFacts, newKey: () => string): Choice | Refusal {
  const { override } = facts
  if (override !== undefined && isListed(dealer.overrideFrom, facts.peerAddress)) {
    return Object.hasOwn(dealer.variants, override)
      ? { variant: override, kind: 'override' }
      : 'variant_not_found'
  }
  const routed = dealer.headerRoutes.find(({ header, value }) => facts.headers[header] === value)
  if (routed) return { variant: routed.to, kind: 'override' }
  const named = dealer.byHeader(facts.headers)
  if (named !== undefined) return split(named)
  const key = stickyKey(dealer.sticky, facts)
  if (key !== undefined) return split(dealer.pin(key))
  if (dealer.sticky && 'cookie' in dealer.sticky) {
    const cookie = newKey()
    return split(dealer.pin(cookie), cookie)
  }
  return split(dealer.next())
}

function split(variant: string | undefined, newCookie?: string): Choice | Refusal {
  if (variant === undefined) return 'route_closed'
  return newCookie === undefined ? { variant, kind: 'split' } : { variant, kind: 'split', newCookie }
}

function stickyKey(
  sticky: RoutePolicy['sticky'],
  { headers, clientAddress }: ChoiceFacts,
): string | undefined {
  if (sticky === undefined) return undefined
  if ('clientAddress' in sticky) return clientAddress
  if ('cookie' in sticky) return cookieValue(headers['cookie'], sticky.cookie)
  const value = headers[sticky.header]
  return value === undefined || value === '' ? undefined : String(value)
}

function cookieValue(header: string | string[] | undefined, name: string): string | undefined {
  if (header === undefined) return undefined
  for (const pair of String(header).split(';')) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim() || undefined
  }
  return undefined
}

export function isListed(list: BlockList, address: string): boolean {
  if (address === '') return false
  const plain = address.startsWith('::ffff:') ? address.slice(7) : address // IPv4 as a dual-stack socket shows it
  return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}
