import type { RoutePolicy } from './policy.ts'

/** What is wrong with a policy although each setting by itself is right. */
export interface Contradiction {
  readonly path: string[]
  readonly message: string
}

/** Settings that name a variant which the route has not, or need another setting. */
export function danglingTargets(policy: RoutePolicy): Contradiction[] {
  const { mirror, fallback, hedge, variants, idempotent } = policy
  const found = Object.entries({ mirror, fallback, hedge }).flatMap(([setting, value]) =>
    value === undefined || value.to in variants
      ? []
      : [{ path: [setting, 'to'], message: `there is no variant "${value.to}"` }],
  )
  for (const [index, { to }] of policy.headerRoutes.entries()) {
    if (to in variants) continue
    found.push({ path: ['headerRoutes', String(index), 'to'], message: `there is no variant "${to}"` })
  }
  if (hedge && !idempotent) found.push({ path: ['hedge'], message: 'needs `idempotent: true`' })
  return found
}

/** Rules of `splitBy` that could deal nobody, or the same users twice. */
export function brokenRules({ splitBy, variants }: RoutePolicy): Contradiction[] {
  const seen = new Set<string>()
  return (splitBy?.rules ?? []).flatMap(({ to, values }, index) => {
    const path = ['splitBy', 'rules', String(index)]
    const twice = values.filter(value => seen.has(value) || !seen.add(value))
    const repeated = twice.map(value => ({ path: [...path, 'values'], message: `"${value}" is named twice` }))
    if (!(to in variants))
      return [...repeated, { path: [...path, 'to'], message: `there is no variant "${to}"` }]
    if (variants[to]?.endpoints.length !== 0) return repeated
    return [...repeated, { path: [...path, 'to'], message: 'the variant has no endpoint' }]
  })
}
