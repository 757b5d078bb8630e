import type { Runtime } from '../../controller/runtime/runtime.ts'

/** Running before anything was deployed. */
interface Placed {
  readonly id: string
  readonly version: string
  readonly digest: string
  readonly endpoints: readonly string[]
}

interface Running {
  readonly model: string
  readonly version: string
  readonly digest: string
  readonly drilled: boolean
  endpoints: string[]
}

export interface SmallRuntime extends Runtime {
  /** The most instances that there were at one time, of all deployments together. */
  most(): number
}

/**
 * Runs nothing: every instance is ready at once, and gone at once when its time to drain begins. The first of all is at
 * `endpoint`, the others at addresses of their own, at which nobody listens.
 */
export function createSmallRuntime(endpoint: string, placed: readonly Placed[] = []): SmallRuntime {
  const running = new Map<string, Running>(
    placed.map(({ id, endpoints, ...rest }) => [
      id,
      { ...rest, model: 'food11', drilled: false, endpoints: [...endpoints] },
    ]),
  )
  let given = 0
  let most = 0
  const another = () => (given++ === 0 ? endpoint : `http://127.0.0.1:${40_000 + given}`)

  function setInstances(found: Running, instances: number, ports: readonly number[] = []): void {
    found.endpoints.length = Math.min(found.endpoints.length, instances)
    while (found.endpoints.length < instances) {
      const port = ports[found.endpoints.length]
      found.endpoints.push(port === undefined ? another() : `http://127.0.0.1:${port}`)
    }
    const all = [...running.values()].reduce((sum, { endpoints }) => sum + endpoints.length, 0)
    most = Math.max(most, all)
  }

  const list = () =>
    [...running].map(([id, { model, version, endpoints, drilled }]) => ({
      id,
      model,
      version,
      endpoints: [...endpoints],
      drilled,
    }))

  return {
    async deploy({ id, version: { model, version, digest }, instances = 1, drill, ports }) {
      const found = running.get(id) ?? { model, version, digest, drilled: drill !== undefined, endpoints: [] }
      running.set(id, found)
      setInstances(found, Math.max(instances, found.endpoints.length), ports)
      return { endpoints: [...found.endpoints] }
    },
    async scale(id, instances) {
      const found = running.get(id)
      if (!found) throw new Error(`nothing is deployed as ${id}`)
      setInstances(found, instances)
    },
    limitMemory: () => {},
    async status(id) {
      const found = running.get(id)
      if (!found) return { kind: 'absent' }
      return { kind: 'ready', endpoints: [...found.endpoints], digest: found.digest }
    },
    list,
    at: wanted => list().find(({ endpoints }) => endpoints.includes(wanted)),
    stop: id => void running.delete(id),
    logs: async () => ({ items: [], cursor: '' }),
    supervise: async () => {},
    stopAll: async () => {},
    most: () => most,
  }
}
