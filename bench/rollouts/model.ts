import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { contentDigest, sha256 } from '../../lib/hash.ts'

/** As the registry finds it: MODELS/waiting/1 and /2. */
export const MODEL = 'waiting'

/** How often both versions fail and refuse by chance, 0 to 1. */
export interface Chances {
  readonly failures: number
  readonly refusals: number
}

/** Two versions alike in all but their names, each a server of its own behind `weir serve`. */
export function writeModels(modelsDir: string, { failures, refusals }: Chances): void {
  const text = readFileSync(new URL('./model-server.ts', import.meta.url), 'utf8')
  for (const version of ['1', '2']) {
    const folder = join(modelsDir, MODEL, version)
    mkdirSync(folder, { recursive: true })
    const manifest = {
      name: MODEL,
      version,
      server: {
        command: [process.execPath, 'model-server.ts'],
        env: { FAILURES: String(failures), REFUSALS: String(refusals) },
        routes: { live: '/ready', ready: '/ready', predict: '/predict' },
        files: [{ file: 'model-server.ts', sha256: sha256(text) }],
      },
    }
    const digest = contentDigest(new Uint8Array(), manifest)
    writeFileSync(join(folder, 'model.json'), JSON.stringify({ digest, ...manifest }))
    writeFileSync(join(folder, 'model-server.ts'), text)
  }
}
