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
  const body = await sharp({ create: { width: 5000, height: 5000, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer()
  const task = { protocol: 'predict', contentType: 'image/jpeg', body } as const

  const lateOne = async () => (await run([{ task, deadlineAt: Date.now() + 20 }]))[0]
  let late = await lateOne()
  // on a busy machine the time may be over before the decoding begins, which is another case
  for (let again = 0; again < 20 && (late?.stages.decodeMs ?? 0) < 20; again++) late = await lateOne()
  t.match(late, { ok: false, code: 'deadline_exceeded' })
  t.ok((late?.stages.decodeMs ?? 0) >= 20, 'it was decoded')
  t.equal(computed, 0)

  const [patient] = await run([{ task, deadlineAt: Date.now() + 60_000 }])
  t.match(patient, { ok: true })
  t.equal(computed, 1)
})
