import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { modelManifest, type CustomManifest, type ModelManifest } from '../contract/model-manifest.ts'
import type { Drill } from '../contract/rollout.ts'
import { contentDigest } from '../lib/hash.ts'
import { describeIssues } from '../lib/parse.ts'
import { describeProblem } from '../lib/problem.ts'

/** A version that will never be served; the message says why, without a path, since /readyz shows it to everybody. */
export class ModelRefused extends Error {}

export interface VersionManifest {
  readonly manifest: ModelManifest | CustomManifest
  /** As it was read: the digest is over this, without what the schema adds. */
  readonly json: Readonly<Record<string, unknown>>
}

/** Reads model.json of a version's folder. Throws ModelRefused. */
export async function readManifest(folder: string): Promise<VersionManifest> {
  const json = parseObject(await readPart(folder, 'model.json'), 'model.json')
  const parsed = modelManifest.safeParse(json)
  if (!parsed.success) throw new ModelRefused(`model.json: ${describeIssues(parsed.error)}`)
  return { manifest: parsed.data, json }
}

/** The drill that a version carries in its manifest. What cannot be read is refused, and told, when it is loaded. */
export async function readDrill(path: string): Promise<Drill | undefined> {
  try {
    return (await readManifest(path)).manifest.drill
  } catch (error) {
    if (error instanceof ModelRefused) return undefined
    throw error
  }
}

/** Throws ModelRefused when the manifest states another digest than these bytes and itself have. */
export function checkDigest(bytes: Uint8Array, { manifest, json }: VersionManifest): void {
  const actual = contentDigest(bytes, json)
  if (manifest.digest === undefined) throw new ModelRefused('model.json states no digest')
  if (manifest.digest !== actual) {
    throw new ModelRefused(
      `the digest does not match: model.json states ${manifest.digest}, the files have ${actual}`,
    )
  }
}

export async function readPart(folder: string, file: string): Promise<Uint8Array> {
  return readFile(join(folder, file)).catch((cause: NodeJS.ErrnoException) => {
    const problem = cause.code === 'ENOENT' ? 'does not exist' : `cannot be read (${cause.code})`
    throw new ModelRefused(`${file} ${problem}`, { cause })
  })
}

export function parseObject(bytes: Uint8Array, file: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return { ...json }
  } catch (cause) {
    throw new ModelRefused(`${file} is not JSON`, { cause })
  }
  throw new ModelRefused(`${file} is no object`)
}

/** The sentence for /readyz. What is not a refusal is a bug or a broken machine, and is told without its details. */
export function refusalReason(error: unknown): string {
  if (error instanceof ModelRefused) return error.message
  return `the model could not be loaded: ${describeProblem(error)}`
}
