import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Registry } from '../../controller/registry/registry.ts'
import type { SeenExit } from '../../controller/runtime/facts.ts'
import { createProcessRuntime } from '../../controller/runtime/processes.ts'
import { openStore } from '../../controller/store.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/log.ts'
import { until } from '../helpers/until.ts'
import { localRegistry } from './local-registry.ts'

interface RuntimeWorldOptions {
  /** Which versions there are. */
  readonly modelsDir: string
  /** Model servers take free ports from here on: each test file has its own, as files run at the same time. */
  readonly firstPort: number
  /** What the registry is reached through, for tests that hold it up. */
  readonly through?: (registry: Registry) => Registry
}

const LIMIT_MS = 40_000

const same = (registry: Registry): Registry => registry

type RuntimeControl = ReturnType<typeof openControl>

/** A state folder whose controllers run real model servers, one controller after the other; at the end all of it is gone. */
export function createRuntimeWorld(t: Test, options: RuntimeWorldOptions) {
  const stateDir = mkdtempSync(join(tmpdir(), 'weir-'))
  const controllers: RuntimeControl[] = []
  t.teardown(async () => {
    for (const one of controllers) await one.end()
    const last = openControl(t, stateDir, options)
    await last.runtime.stopAll()
    await last.end()
    rmSync(stateDir, { recursive: true, force: true })
  })

  function controller(): RuntimeControl {
    const one = openControl(t, stateDir, options)
    controllers.push(one)
    return one
  }

  return {
    stateDir,
    controller,
    /** One that looks after its servers from the beginning. */
    supervised(): RuntimeControl {
      const one = controller()
      one.supervise()
      return one
    },
  }
}

function openControl(
  t: Test,
  stateDir: string,
  { modelsDir, firstPort, through = same }: RuntimeWorldOptions,
) {
  const store = openStore(stateDir)
  const registry = through(localRegistry(modelsDir, store))
  const runtime = createProcessRuntime({
    store,
    registry,
    stateDir,
    host: '127.0.0.1',
    firstPort,
    clock: systemClock,
    log: createLog('test', 'silent'),
    ownerPid: process.pid,
  })
  const work = new AbortController()
  let supervision: Promise<void> | undefined
  let ended = false
  const pids = store.db.prepare('SELECT pid FROM processes WHERE deployment = ? ORDER BY number')
  const setPid = store.db.prepare('UPDATE processes SET pid = ? WHERE deployment = ?')
  const pidsOf = (id: string) => pids.all(id).map(({ pid }) => Number(pid))
  return {
    registry,
    runtime,
    pidsOf,
    /** 0: it has none yet. */
    pidOf: (id: string) => pidsOf(id)[0] ?? 0,
    /** As if the system had given the pid of what has ended to another process. */
    pretendPid: (id: string, pid: number) => void setPid.run(pid, id),
    supervise(): void {
      supervision = runtime.supervise(work.signal).catch((error: unknown) => void t.error(error))
    },
    ready: (id: string) =>
      until(`${id} is ready`, LIMIT_MS, async () => {
        const status = await runtime.status(id)
        return status.kind === 'ready' && status
      }),
    exits: (id: string, atLeast = 1): Promise<readonly SeenExit[]> =>
      until(`${id} has ended`, LIMIT_MS, async () => {
        const { exits = [] } = (await runtime.facts(id)) ?? {}
        return exits.length >= atLeast && exits
      }),
    /** As when the controller dies: what runs goes on. */
    async end(): Promise<void> {
      if (ended) return
      ended = true
      work.abort()
      await supervision
      store.close()
    },
  }
}
