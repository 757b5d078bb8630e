import { WeirError } from '../contract/errors.ts'

const ATTEMPTS = 60
const EVERY_MS = 500

/** A controller that restarts is away for some seconds, and its work goes on: that is no reason to stop following it. */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      const away = error instanceof WeirError && error.statusCode >= 500
      if (!away || attempt === ATTEMPTS) throw error
      await new Promise(resolve => setTimeout(resolve, EVERY_MS))
    }
  }
}
