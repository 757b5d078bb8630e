import { normalPrefix, type RoutePolicy } from '../../contract/policy.ts'

export interface RequestFacts {
  /** 0 is the main listener; routes that name a port have a listener of their own. */
  readonly port: number
  readonly host: string
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface RouteTable {
  /** The name of the route that takes the request: the most specific by host, then path, method and headers. */
  match(facts: RequestFacts): string | undefined
}

interface Entry {
  readonly name: string
  readonly methods: readonly string[]
  readonly headers: readonly (readonly [string, string])[]
}

/** Routes of one listener and host by path prefix. */
interface Bucket {
  readonly byPrefix: Map<string, Entry[]>
  /** Path segments of the longest prefix: no need to look deeper, however long the path. */
  depth: number
}

/** Looks routes up by hash, so that the cost depends on the depth of paths and hosts and not on the number of routes. */
export function createRouteTable(policies: Iterable<RoutePolicy>): RouteTable {
  const buckets = new Map<string, Bucket>()
  let anyHost = false
  for (const { name, match } of policies) {
    const { host = '', port = 0, method = [], headers = {} } = match
    if (host !== '') anyHost = true
    const prefix = normalPrefix(match.pathPrefix)
    const bucket = bucketOf(buckets, bucketKey(port, host))
    const entries = bucket.byPrefix.get(prefix) ?? []
    entries.push({ name, methods: method, headers: Object.entries(headers) })
    entries.sort((a, b) => specificity(b) - specificity(a))
    bucket.byPrefix.set(prefix, entries)
    bucket.depth = Math.max(bucket.depth, segmentsOf(prefix))
  }
  return {
    match(facts) {
      const hosts = anyHost ? hostsToTry(facts.host) : ANY_HOST
      for (const host of hosts) {
        const bucket = buckets.get(bucketKey(facts.port, host))
        const found = bucket && matchPath(bucket, facts)
        if (found !== undefined) return found
      }
      return undefined
    },
  }
}

const ANY_HOST: readonly string[] = ['']

function bucketKey(port: number, host: string): string {
  return `${port} ${host}`
}

function bucketOf(buckets: Map<string, Bucket>, key: string): Bucket {
  const bucket = buckets.get(key) ?? { byPrefix: new Map(), depth: 0 }
  buckets.set(key, bucket)
  return bucket
}

function specificity({ methods, headers }: Entry): number {
  return (methods.length > 0 ? 1000 : 0) + headers.length
}

function segmentsOf(prefix: string): number {
  return prefix === '/' ? 0 : prefix.split('/').length - 1
}

/** a.b.org: itself, then *.b.org, then *.org, then any. The port of a Host header does not count. */
function hostsToTry(header: string): string[] {
  const host = header.toLowerCase().replace(/:\d+$/, '')
  const hosts = [host]
  const labels = host.split('.')
  for (let index = 1; index < labels.length && index <= MAX_HOST_LABELS; index++)
    hosts.push(`*.${labels.slice(index).join('.')}`)
  hosts.push('')
  return hosts
}

const MAX_HOST_LABELS = 32

/** By path elements: /a takes /a and /a/b, not /ab. */
function matchPath(bucket: Bucket, facts: RequestFacts): string | undefined {
  let prefix = cutToDepth(facts.path, bucket.depth)
  for (;;) {
    const entries = bucket.byPrefix.get(prefix === '' ? '/' : prefix)
    const found = entries?.find(entry => takes(entry, facts))
    if (found) return found.name
    if (prefix === '' || prefix === '/') return undefined
    prefix = prefix.slice(0, prefix.lastIndexOf('/'))
  }
}

function cutToDepth(path: string, depth: number): string {
  let end = 0
  for (let segment = 0; segment < depth; segment++) {
    const next = path.indexOf('/', end + 1)
    if (next === -1) return path
    end = next
  }
  return depth === 0 ? '/' : path.slice(0, end)
}

function takes({ methods, headers }: Entry, facts: RequestFacts): boolean {
  if (methods.length > 0 && !methods.includes(facts.method)) return false
  return headers.every(([name, value]) => facts.headers[name] === value)
}
