const INTERVAL_MS = 50

export interface HealthProbe {
  /** How long every answer took, in milliseconds. */
  stop(): Promise<readonly number[]>
}

/** Asks again and again whether a server is ready, while something else loads it. */
export function probeHealth(url: string): HealthProbe {
  const times: number[] = []
  let stopped = false
  async function ask(): Promise<void> {
    while (!stopped) {
      const begun = performance.now()
      await (await fetch(url)).text()
      times.push(performance.now() - begun)
      await new Promise(resolve => setTimeout(resolve, INTERVAL_MS))
    }
  }
  const asking = ask()
  asking.catch(() => undefined) // told by stop
  return {
    async stop() {
      stopped = true
      await asking
      return times
    },
  }
}
