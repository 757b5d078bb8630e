/** Looks every 100 ms until `look` gives something; throws, naming what was waited for, after the limit. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  const limit = Date.now() + limitMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > limit) throw new Error(`${what}: not within ${limitMs / 1000} s`)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
