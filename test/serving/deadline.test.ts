import sharp from 'sharp'
import t from 'tap'
import { readModel } from '../../serving/model.ts'
import type { OnnxSession } from '../../serving/onnx-session.ts'
import { describeModel } from '../../serving/served-model.ts'
import { createTaskRunner } from '../../serving/task-runner.ts'

t.test('a photo whose deadline passed while it was decoded is not computed', async t => {
  const { name, manifest } = await readModel('models/food11/1')
  let computed = 0
  const session: OnnxSession = {
    inputs: [{ name: 'input', type: 'float32', shape: [-1, 3, 224, 224] }],
    outputs: [{ name: 'logits', type: 'float32', shape: [-1, 11] }],
    run: async () => {
      computed += 1
      return [{ name: 'logits', type: 'float32', shape: [1, 11], data: new Float32Array(11) }]
    },
    release: async () => {},
  }
  const model = describeModel(name, manifest, session)
  const run = createTaskRunner({ session, model, maxBatch: 1, maxPixels: 32_000_000 })
  const body = await sharp({ create: { width: 300, height: 300, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer()
  const task = { protocol: 'predict', contentType: 'image/jpeg', body } as const

  let now = -1000
  t.capture(Date, 'now', () => (now += 1000)) // a second passes between two looks at the clock
  const [late] = await run([{ task, deadlineAt: 500 }])
  t.match(late, { ok: false, code: 'deadline_exceeded', stages: { inferMs: 0 } })
  t.equal(now, 1000, 'it was in time when its turn came')
  t.equal(computed, 0)

  const [patient] = await run([{ task, deadlineAt: 60_000 }])
  t.match(patient, { ok: true })
  t.equal(computed, 1)
})
