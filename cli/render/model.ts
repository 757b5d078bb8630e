import { modelManifest } from '../../contract/model-manifest.ts'
import type { ModelVersionDetails } from '../../contract/registry.ts'

/** One version, a line a fact. */
export function describeVersion({ manifest, ...version }: ModelVersionDetails): string {
  const facts: [string, string][] = [
    ['digest', version.digest],
    ['aliases', version.aliases.join(', ') || 'none'],
    ['registered', registration(version)],
    ...(version.failed === null ? [] : [['failed', version.failed] as [string, string]]),
    ...manifestFacts(manifest),
  ]
  const width = Math.max(...facts.map(([name]) => name.length)) + 2
  const lines = facts.map(([name, text]) => `  ${name.padEnd(width)}${text}`)
  return [`${version.model}/${version.version}`, ...lines].join('\n')
}

function registration({ registeredAt, registeredBy }: Omit<ModelVersionDetails, 'manifest'>): string {
  if (registeredAt === null) return 'no: it lies in the models folder'
  return `${registeredAt} by ${registeredBy ?? 'somebody'}`
}

function manifestFacts(json: unknown): [string, string][] {
  const manifest = modelManifest.parse(json)
  const facts: [string, string][] = []
  if ('server' in manifest) facts.push(['command', manifest.server.command.join(' ')])
  else if (manifest.architecture) {
    const { family, precision, parameters } = manifest.architecture
    const count = parameters.actual === undefined ? '' : `, ${parameters.actual} parameters`
    facts.push(['architecture', `${family}, ${precision}${count}`])
  }
  if (manifest.labels) facts.push(['labels', String(manifest.labels.length)])
  for (const [set, { top1, balanced, photos }] of Object.entries(manifest.accuracy ?? {})) {
    const even = balanced === undefined ? '' : `, balanced ${percent(balanced)}`
    facts.push(['accuracy', `${percent(top1)}${even} on ${photos} of ${set}`])
  }
  facts.push(['memory limit', `${manifest.memoryLimitMiB} MiB`])
  return facts
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
