import { createControllerClient } from '../../client/controller.ts'
import { createGatewayClient } from '../../client/gateway.ts'
import { readPhotos, startSteadyLoad } from '../load/steady-load.ts'
import { createLiveView } from '../render/live.ts'
import { closingTable } from './closing-table.ts'
import { startStack } from './stack.ts'
import { playStory } from './story.ts'

const REQUESTS_PER_SECOND = 40

/** One version brought to all users, and one that really fails taken away, while clients notice nothing. */
export async function runDemo(): Promise<void> {
  const view = createLiveView(process.stdout)
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort())
  view.log('Weir demo: two versions of a food classifier, real photos, in a state folder of its own.')
  view.log('Starting the model servers, the gateway and the controller …')
  const stack = await startStack({ signal: stop.signal })
  try {
    const gateway = createGatewayClient({ baseUrl: stack.operatorUrl })
    const controller = createControllerClient({ baseUrl: stack.controllerUrl, actor: 'demo' })
    const photos = await readPhotos('models/food11/samples')
    const load = startSteadyLoad({
      url: stack.publicUrl,
      photos,
      requestsPerSecond: REQUESTS_PER_SECOND,
      users: 0,
    })
    const story = await playStory({ gateway, controller, load, view, signal: stop.signal })
    const result = await load.stop()
    process.exitCode = 130
    if (stop.signal.aborted) return
    view.log(closingTable(result, story))
    process.exitCode = result.failed === 0 && story.promoted && story.withdrawn ? 0 : 1
  } finally {
    view.close()
    await stack.stop()
  }
}
