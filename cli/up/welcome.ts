import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
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
  const names = await readdir(folder, { recursive: true }).catch(() => []) // a model without samples
  const photo = names.filter(name => /\.jpe?g$/.test(name)).toSorted()[0]
  return photo === undefined ? 'PHOTO.jpg' : join(folder, photo)
}
