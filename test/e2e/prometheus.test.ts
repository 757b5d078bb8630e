import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { freeStackPorts, startStack } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { freePort } from '../../lib/ports.ts'
import { findProgram } from '../helpers/programs.ts'
import { until } from '../helpers/until.ts'

// The same rollouts with a real Prometheus between the gateway and the controller.

const program = findProgram('prometheus')

t.test(
  'a rollout is decided on what a Prometheus server scraped',
  { skip: 'skip' in program && program.skip },
  async t => {
    if ('skip' in program) return
    const ports = await freeStackPorts()
    const port = await freePort('127.0.0.1', 19_090)
    const dir = await mkdtemp(join(tmpdir(), 'weir-prometheus-'))
    await writeFile(join(dir, 'prometheus.yml'), scrapeConfig(ports.operator))
    const args = [
      `--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]
    const prometheus = spawn(program.path, args, { stdio: 'ignore' })
    const url = `http://127.0.0.1:${port}`
    const stack = await startStack({ ports, env: { PROMETHEUS_URL: url } })
    t.teardown(async () => {
      await stack.stop()
      prometheus.kill('SIGTERM')
      await new Promise(resolve => prometheus.once('exit', resolve))
      await rm(dir, { recursive: true, force: true })
    })
    await until('prometheus', 30_000, async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok)

    const controller = createControllerClient({ baseUrl: stack.controllerUrl })
    const load = startSteadyLoad({
      url: stack.publicUrl,
      photos: await readPhotos('models/food11/samples'),
      requestsPerSecond: 40,
      users: 0,
    })
    const ended = async (spec: object) => {
      const { name } = await controller.startRollout({
        apiVersion: 'weir.dev/v1alpha1',
        kind: 'Rollout',
        spec: { ...SPEC, ...spec },
      })
      return until(`${name} ends`, 120_000, async () => {
        const rollout = await controller.rollout(name)
        return TERMINAL_PHASES.has(rollout.phase) && rollout
      })
    }
    t.match(await ended({}), { phase: 'Promoted' })
    t.match(await ended({ drill: { failRate: 0.3 } }), { phase: 'RolledBack', cause: 'failure' })
    const result = await load.stop()
    t.equal(result.failed, 0, result.firstFailure ?? '')
  },
)

const SPEC = {
  route: 'food11',
  modelVersion: '2',
  strategy: { canary: { steps: [{ setWeight: 50 }, { ramp: { riskBudget: '5pp', to: 95 } }] } },
  analysis: { interval: '1s', settle: '4s', latency: { toleranceRatio: 8 } },
}

function scrapeConfig(operatorPort: number): string {
  return `global: { scrape_interval: 1s }
scrape_configs:
  - job_name: weir
    static_configs: [{ targets: ["127.0.0.1:${operatorPort}"] }]
`
}
