import type { RoutePolicy } from '../../contract/policy.ts'
import type { ChoiceFacts } from './choose.ts'

/**
 * Where a header's value belongs; undefined: the policy does not say, and weights decide. Of a list the first item counts, and an
 * item that is not named itself belongs where it belongs without its last part: `de-AT,en;q=0.5` where `de` does (RFC 4647, 3.4).
 */
export function createHeaderSplit({
  splitBy,
}: Pick<RoutePolicy, 'splitBy'>): (headers: ChoiceFacts['headers']) => string | undefined {
  if (splitBy === undefined) return () => undefined
  const variantOf = new Map(splitBy.rules.flatMap(({ values, to }) => values.map(value => [value, to])))
  return headers => {
    for (let value = firstItem(headers[splitBy.header]); value !== ''; value = withoutLastPart(value)) {
      const variant = variantOf.get(value)
      if (variant !== undefined) return variant
    }
    return undefined
  }
}

/** A value cannot be longer, so what is longer need not be looked at to its end. */
const MAX_ITEM_LENGTH = 128

function firstItem(header: string | string[] | undefined): string {
  const [item = ''] = String(header ?? '').split(/[,;]/, 1)
  return item.length > MAX_ITEM_LENGTH ? '' : item.trim().toLowerCase()
}

function withoutLastPart(value: string): string {
  return value.slice(0, Math.max(0, value.lastIndexOf('-')))
}
