/** Options as commander parsed them, for a program that parses them itself: { maxBatch: '4' } → --max-batch=4. */
export function passOn(options: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const flag = name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
    return value === undefined ? [] : [`--${flag}=${value}`] // one word: a value may begin with a hyphen
  })
}
