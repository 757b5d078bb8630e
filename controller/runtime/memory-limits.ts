import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { modelManifest } from '../../contract/model-manifest.ts'
import type { VersionLookup } from '../registry/registry.ts'
import type { ProcessRow } from './deployment-table.ts'
import type { MemoryLimit } from './memory-watch.ts'

interface Declared {
  readonly limitMiB: number
  readonly ofCommand: boolean
}

/** How much memory each process may have: what its manifest allows, or less where its environment says so. */
export function createMemoryLimits(registry: Pick<VersionLookup, 'fetch'>) {
  const declared = new Map<string, Declared | null>()

  /** Null: its server refuses such a manifest, and says why. */
  async function read(folder: string): Promise<Declared | null> {
    const json = parseJson(await readFile(join(folder, 'model.json'), 'utf8').catch(() => ''))
    const { data: manifest } = modelManifest.safeParse(json)
    return manifest ? { limitMiB: manifest.memoryLimitMiB, ofCommand: 'server' in manifest } : null
  }

  /** From the folder that it is started from; without it that of one that runs already is asked for. */
  async function learn(row: ProcessRow, folder?: string): Promise<Declared | null> {
    const found = await read(folder ?? (await registry.fetch(row.model, row.version)))
    declared.set(keyOf(row), found)
    return found
  }

  return {
    learn,
    async of(row: ProcessRow): Promise<MemoryLimit | null> {
      const key = keyOf(row)
      const found = declared.has(key) ? (declared.get(key) ?? null) : await learn(row)
      if (found === null) return null
      const { memoryLimitMiB } = row
      return memoryLimitMiB === null || memoryLimitMiB >= found.limitMiB
        ? { ...found, setBy: 'memoryLimitMiB in model.json' }
        : { ...found, limitMiB: memoryLimitMiB, setBy: 'memoryLimitMiB in environments.yaml' }
    },
    forget: (row: ProcessRow) => void declared.delete(keyOf(row)),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // as what is not a manifest
  }
}

function keyOf({ deployment, number }: ProcessRow): string {
  return `${deployment}/${number}`
}
