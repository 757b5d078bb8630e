import { WeirError } from '../contract/errors.ts'

/** `stable=80 candidate=20` → { stable: '80', candidate: '20' }. Throws, naming the word that is no NAME=VALUE. */
export function parseAssignments(words: readonly string[]): Record<string, string> {
  const pairs = words.map(word => {
    const match = /^([^=]+)=(.*)$/.exec(word)
    if (!match) throw new WeirError('invalid_setting', `"${word}" must look like NAME=VALUE`)
    const [, name = '', value = ''] = match
    return [name, value] as const
  })
  const names = pairs.map(([name]) => name)
  const repeated = names.find((name, index) => names.indexOf(name) !== index)
  if (repeated !== undefined) throw new WeirError('invalid_setting', `"${repeated}" is named twice`)
  return Object.fromEntries(pairs)
}

/** A number, or a clear refusal that names what was to be one. */
export function parseNumber(text: string, what: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value)) return value
  throw new WeirError('invalid_setting', `${what}: "${text}" is no number`)
}
