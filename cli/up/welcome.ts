import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { UpOptions } from './up.ts'

interface WelcomeFacts {
  readonly options: UpOptions
  /** The version behind each variant. */
  readonly versions: Readonly<Record<string, string>>
  /** Percent per variant. */
  readonly weights: Readonly<Record<string, number>>
}

/** What a person sees when everything is up: where it is, and what to try next. */
export async function welcome({ options, versions, weights }: WelcomeFacts): Promise<string> {
  const { host, port, operatorPort, controllerPort, model } = options
  const gateway = `http://${host}:${port}`
  const variants = Object.entries(weights).map(
    ([variant, weight]) =>
      `${variant} is version ${versions[variant] ?? '?'} with ${weight} % of the traffic`,
  )
  return `
Weir is up. ${model}: ${variants.join(', ')}.

  predictions   ${gateway}/predict   (/test, /version)
  operator API  http://${host}:${operatorPort}/docs
  controller    http://${host}:${controllerPort}/docs

Try next, in a second terminal in this folder:

  curl -F file=@${await samplePhoto(options)} ${gateway}/predict
  npx weir traffic set ${model} stable=80 candidate=20
  npx weir status
  npx weir traffic set ${model} stable=100 candidate=0
  npx weir load --rate 40 --duration 150s &
  npx weir rollout start ${model} --to ${versions['candidate'] ?? options.candidate} --wait

Ctrl-C stops everything; npm start continues from here, npm start -- --fresh begins anew.`
}

async function samplePhoto({ models, model }: UpOptions): Promise<string> {
  const folder = join(models, model, 'samples')
  const text = await readFile(join(folder, 'samples.json'), 'utf8').catch(() => '[]') // a model without samples
  const [first] = z.array(z.object({ file: z.string() })).parse(JSON.parse(text))
  return first === undefined ? 'PHOTO.jpg' : join(folder, first.file)
}
