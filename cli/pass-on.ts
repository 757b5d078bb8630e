/** Options as commander parsed them, as words for a program that parses them itself: { firstPort: '1' } → --first-port 1. */
export function passOn(options: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(options).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [`--${name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`, value],
  )
}
