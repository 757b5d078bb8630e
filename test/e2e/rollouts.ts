import type { Test } from 'tap'
import { createControllerClient } from '../../client/controller.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { startStack, type StackOptions } from '../../cli/demo/stack.ts'
import { readPhotos, startSteadyLoad } from '../../cli/load/steady-load.ts'
import { TERMINAL_PHASES } from '../../contract/rollout.ts'
import { until } from '../helpers/until.ts'

/** A whole stack with what tests of rollouts do to it. It stops when the test ends. */
export async function startRollouts(t: Test, options: StackOptions = {}) {
  const stack = await startStack(options)
  t.teardown(() => stack.stop())
  const gateway = createGatewayClient({ baseUrl: stack.operatorUrl })
  const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'e2e' })
  const photos = await readPhotos('models/food11/samples')
  return {
    ...stack,
    gateway,
    controller,
    policy: async () => (await gateway.route('food11')).policy,
    load: (requestsPerSecond: number, users = 0) =>
      startSteadyLoad({ url: stack.publicUrl, photos, requestsPerSecond, users }),
    async versionOf(variant: string): Promise<string> {
      const answer = await fetch(`${stack.publicUrl}/version`, { headers: { 'x-weir-variant': variant } })
      return ((await answer.json()) as { model_version: string }).model_version
    },
    ended: (name: string) =>
      until(`${name} ends`, 90_000, async () => {
        const rollout = await controller.rollout(name)
        return TERMINAL_PHASES.has(rollout.phase) && rollout
      }),
  }
}

/** On a machine that does other work as well one process may be slower for no fault of its version. */
const ANALYSIS = { interval: '500ms', settle: '2s', watch: '5s', latency: { toleranceRatio: 8 } }

export function rolloutOf(modelVersion: string, spec: object): object {
  return {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    spec: { route: 'food11', modelVersion, analysis: ANALYSIS, ...spec },
  }
}
