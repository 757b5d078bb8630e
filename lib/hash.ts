import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'

export function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** JSON with keys sorted and no white space (RFC 8785, JSON Canonicalization Scheme), so that equal values hash alike. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

/**
 * `sha256:…` over some bytes and the canonical JSON of their description without its `digest`: what a model's manifest states.
 * Takes the description as it was read: what a schema adds by default is no part of it.
 */
export function contentDigest(bytes: Uint8Array, description: Readonly<Record<string, unknown>>): string {
  return digestOver(createHash('sha256').update(bytes), description)
}

/** The same for bytes that were hashed already; `bytes` may be used again with another description. */
export function digestOver(bytes: Hash, description: Readonly<Record<string, unknown>>): string {
  const { digest: _, ...rest } = description
  return `sha256:${bytes.copy().update(canonicalJson(rest)).digest('hex')}`
}

/** Hashes a file that may be larger than the memory. */
export async function hashFile(path: string): Promise<Hash> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash
}
