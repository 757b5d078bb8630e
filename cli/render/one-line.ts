/**
 * What others wrote, such as a reason or a webhook's answer, as a part of one line: it can neither begin lines of its own, which
 * would look like ours, nor tell the terminal anything.
 */
export function inOneLine(text: string): string {
  return text.replaceAll(CONTROL, character => {
    if (character === '\n') return '\\n'
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** Control characters, and those that break lines or turn their direction. */
const CONTROL = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu
