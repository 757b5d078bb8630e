/** A queue of one: each piece of work begins when the one before has ended, however that ended. */
export function createTurns(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  return work => {
    const result = last.then(work)
    last = result.catch(() => undefined) // whoever asked for the work gets its error
    return result
  }
}
