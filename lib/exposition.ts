// Reads the Prometheus text exposition format: https://prometheus.io/docs/instrumenting/exposition_formats/

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** NaN, +Inf and -Inf are kept as the numbers they are. */
  readonly value: number
}

/** The samples of an exposition, comments left out. Throws ExpositionError, naming the line, on anything else. */
export function parseExposition(text: string): Sample[] {
  const samples: Sample[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const match = SAMPLE.exec(trimmed)
    if (!match) throw new ExpositionError(`line ${index + 1} is not a sample: ${trimmed.slice(0, 80)}`)
    const [, name = '', labels = '', value = ''] = match
    samples.push({ name, labels: parseLabels(labels), value: parseNumber(value, index + 1) })
  }
  return samples
}

export class ExpositionError extends Error {}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\s*\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"/g

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const [, key = '', value = ''] of text.matchAll(LABEL)) {
    labels[key] = value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
  }
  return labels
}

function parseNumber(text: string, line: number): number {
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  if (/^nan$/i.test(text)) return Number.NaN
  const value = Number(text)
  if (Number.isNaN(value)) throw new ExpositionError(`line ${line} has no number: ${text.slice(0, 40)}`)
  return value
}
