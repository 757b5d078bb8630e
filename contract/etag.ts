import { WeirError } from './errors.ts'

/** A version as the ETag header carries it. */
export function etag(version: number): string {
  return `"${version}"`
}

/** The version that an If-Match header asks for: `"7"` → 7; `*` and no header: any version. Rejects lists and anything else. */
export function versionOf(ifMatch: string | undefined): number | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined
  const version = /^(?:W\/)?"?(\d+)"?$/.exec(ifMatch.trim())?.[1]
  if (version === undefined)
    throw new WeirError('bad_request', 'If-Match must be one version as the ETag gives it, such as "7"')
  return Number(version)
}
