import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readPhotos } from '../../cli/load/steady-load.ts'
import { contentDigest } from '../../lib/hash.ts'
import { copyModels } from './used-stack.ts'

/** A models folder with a third version of food11: the second one's graph under a digest of its own. */
export async function withThirdVersion(t: Test): Promise<string> {
  const { models } = await copyModels(t)
  const third = join(models, 'food11', '3')
  await cp('models/food11/2', third, { recursive: true })
  const manifest = {
    ...(JSON.parse(await readFile(join(third, 'model.json'), 'utf8')) as object),
    version: '3',
  }
  const digest = contentDigest(await readFile(join(third, 'model.onnx')), manifest)
  await writeFile(join(third, 'model.json'), JSON.stringify({ ...manifest, digest }))
  return models
}

export interface Prediction {
  readonly variant: string
  readonly id: string
  readonly label: string
}

/** People who post photos, one at a time, and tell afterwards what became of it. */
export async function createUsers(publicUrl: string) {
  const photos = await readPhotos('models/food11/samples')
  return {
    async predict(headers: Readonly<Record<string, string>>, n: number): Promise<Prediction> {
      const photo = photos[n % photos.length] ?? Buffer.alloc(0)
      const answer = await fetch(`${publicUrl}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'image/jpeg', ...headers },
        body: new Uint8Array(photo),
      })
      const { prediction_id: id, label } = (await answer.json()) as { prediction_id: string; label: string }
      return { variant: answer.headers.get('x-weir-variant') ?? 'none', id, label }
    },
    async tell(feedback: object): Promise<void> {
      const answer = await fetch(`${publicUrl}/feedback`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(feedback),
      })
      if (!answer.ok) throw new Error(`/feedback answered ${answer.status}: ${await answer.text()}`)
    },
  }
}
