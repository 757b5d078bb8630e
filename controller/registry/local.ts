import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../contract/errors.ts'
import { modelManifest } from '../../contract/model-manifest.ts'
import { describeIssues } from '../../lib/parse.ts'
import type { ModelVersion, VersionLookup } from './registry.ts'

/** Versions as folders: DIR/MODEL/VERSION/model.json. A folder without a manifest is no version. */
export function createLocalRegistry(modelsDir: string): VersionLookup {
  return {
    async versions(model) {
      const entries = await readdir(join(modelsDir, safeName(model)), { withFileTypes: true }).catch(
        (cause: unknown) => {
          throw new WeirError('model_not_found', `no model "${model}" in ${modelsDir}`, { cause })
        },
      )
      const folders = entries.filter(entry => entry.isDirectory()).map(entry => entry.name)
      const found = await Promise.all(folders.map(version => readVersion(modelsDir, model, version)))
      return found
        .filter(version => version !== undefined)
        .toSorted((a, b) => compareVersions(a.version, b.version))
    },
    async get(model, version) {
      const found = await readVersion(modelsDir, safeName(model), safeName(version))
      if (found) return found
      throw new WeirError('version_not_found', `no version "${version}" of model "${model}"`)
    },
    async fetch(model, version) {
      await this.get(model, version)
      return join(modelsDir, model, version)
    },
  }
}

async function readVersion(
  modelsDir: string,
  model: string,
  version: string,
): Promise<ModelVersion | undefined> {
  const dir = join(modelsDir, model, version)
  const text = await readFile(join(dir, 'model.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const { digest } = parseManifest(text, dir)
  return { model, version, digest, registeredAt: null, registeredBy: null, failed: null }
}

function parseManifest(text: string, dir: string): { digest: string } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new WeirError('invalid_setting', `${dir}/model.json is not JSON`, { cause })
  }
  const parsed = modelManifest.safeParse(json)
  if (parsed.success && parsed.data.digest !== undefined) return { digest: parsed.data.digest }
  if (parsed.success) throw new WeirError('invalid_setting', `${dir}/model.json states no digest`)
  throw new WeirError('invalid_setting', `${dir}/model.json: ${describeIssues(parsed.error)}`)
}

/** Names become path segments: nothing that could leave the models folder. */
function safeName(name: string): string {
  if (/^[A-Za-z0-9][\w.-]{0,62}$/.test(name)) return name
  throw new WeirError('version_not_found', `"${name}" is no name of a model or version`)
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
