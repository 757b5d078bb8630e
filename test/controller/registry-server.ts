import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { createAudit } from '../../controller/audit.ts'
import { addModels, type RegistryApiOptions } from '../../controller/registry/registry-api.ts'
import { createUploads, UPLOAD_LIMITS, type UploadLimits } from '../../controller/registry/uploads.ts'
import { openStore } from '../../controller/store.ts'
import { createHttpServer } from '../../lib/http-server.ts'
import { localRegistry } from './local-registry.ts'
import { temporary } from './registry-suite.ts'

export const JSON_LIMIT_BYTES = 1000

/** The registry's part of the API over real HTTP; `running`: what model servers are seen answering with. */
export async function startRegistryApi(t: Test, limits: Partial<UploadLimits> = {}) {
  const dir = temporary(t)
  const store = openStore(join(dir, 'state'))
  const registry = localRegistry(join(dir, 'models'), store)
  const running = new Map<string, { model: string; version: string; digest: string }>()
  const runtime = runtimeOf(running)
  const uploads = createUploads(join(dir, 'uploads'), { ...UPLOAD_LIMITS, ...limits })
  const app = createHttpServer({ log: pino({ level: 'silent' }), bodyLimitBytes: JSON_LIMIT_BYTES })
  addModels(app, { registry, runtime, uploads })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => {
    await app.close()
    store.close()
  })
  const client = createControllerClient({ baseUrl: url, actor: 'ada' })
  /** What lies on the disk. */
  const left = async () => [
    ...(await readdir(join(dir, 'models')).catch(() => [])),
    ...(await readdir(join(dir, 'uploads')).catch(() => [])),
  ]
  return { url, client, registry, running, audit: createAudit(store), models: join(dir, 'models'), left }
}

function runtimeOf(
  running: ReadonlyMap<string, { model: string; version: string; digest: string }>,
): RegistryApiOptions['runtime'] {
  return {
    list: () =>
      [...running].map(([id, { model, version }]) => ({ id, model, version, endpoints: [], drilled: false })),
    async status(id) {
      const found = running.get(id)
      if (found === undefined) return { kind: 'absent' }
      return { kind: 'ready', endpoints: [], digest: found.digest }
    },
  }
}
