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
  const to = flags({ gateway: [host, operatorPort, '8081'], controller: [host, controllerPort, '8090'] })
  const toGateway = flags({ gateway: [host, operatorPort, '8081'] })
  const toController = flags({ controller: [host, controllerPort, '8090'] })
  const toPublic = flags({ url: [host, port, '8080'] })
  const variants = Object.entries(weights).map(([variant, weight]) => {
    const version = versions[variant]
    return version === undefined
      ? `${variant} runs no version`
      : `${variant} is version ${version} with ${weight} % of the traffic`
  })
  return `
Weir is up. ${model}: ${variants.join(', ')}.

  in a browser  ${gateway}/
  predictions   ${gateway}/predict   (/test, /version)
  operator API  http://${host}:${operatorPort}/docs
  controller    http://${host}:${controllerPort}/docs

Try next, in a second terminal in this folder:

  curl -F file=@${await samplePhoto(options)} ${gateway}/predict
  npx weir traffic set ${model} stable=80 candidate=20${toGateway}
  npx weir status${to}
  npx weir traffic set ${model} stable=100 candidate=0${toGateway}
  npx weir load --rate 40 --duration 150s${toPublic} &
  npx weir rollout start ${model} --to ${versions['candidate'] ?? options.candidate} --wait${toController}

Ctrl-C stops everything; npm start continues from here, npm start -- --fresh begins anew.`
}

/** Where verbs look by themselves: this machine, or all of its addresses. */
const HERE: ReadonlySet<string> = new Set(['127.0.0.1', '0.0.0.0', '::'])

type Address = readonly [host: string, port: string, usualPort: string]

/** What a verb must be told to find this Weir; nothing where it looks there by itself. */
function flags(addresses: Readonly<Record<string, Address>>): string {
  return Object.entries(addresses)
    .filter(([, [host, port, usualPort]]) => port !== usualPort || !HERE.has(host))
    .map(([name, [host, port]]) => ` --${name} http://${HERE.has(host) ? '127.0.0.1' : host}:${port}`)
    .join('')
}

async function samplePhoto({ models, model }: UpOptions): Promise<string> {
  const folder = join(models, model, 'samples')
  const text = await readFile(join(folder, 'samples.json'), 'utf8').catch(() => '[]') // a model without samples
  const [first] = z.array(z.object({ file: z.string() })).parse(JSON.parse(text))
  return first === undefined ? 'PHOTO.jpg' : join(folder, first.file)
}
