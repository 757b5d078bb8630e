/** Where around an effect a controller is killed; inside: a transaction whose work is done and that is not committed yet. */
export type Moment = 'before' | 'inside' | 'after'

export interface Kill {
  /** 1 is the first effect after `arm`. */
  readonly effect: number
  readonly moment: Moment
}

/** What changes the world outside of the process's memory, by what it is called on. All else only reads. */
const EFFECTS: Readonly<Record<string, readonly string[]>> = {
  store: ['transaction'],
  gateway: ['patchRoute'],
  runtime: ['deploy', 'scale', 'stop'],
  folder: ['take', 'seal', 'place', 'withdraw', 'drop'],
  mlflow: ['post', 'remove', 'upload'],
}

class Dead extends Error {}

type Call = (...args: unknown[]) => unknown

/**
 * The life of one controller in this process. Everything that it reaches the outside with goes `through` this, and from the
 * armed point on all of it throws: as after kill -9, nothing is finished, rolled back by hand or tidied up.
 */
export function createMortality() {
  let dead = false
  let effects: string[] = []
  let armed: Kill | undefined

  function die(): never {
    dead = true
    throw new Dead('killed')
  }

  function isTime(effect: number, moment: Moment): boolean {
    return armed?.effect === effect && armed.moment === moment
  }

  function affect(name: string, call: Call, args: unknown[]): unknown {
    const number = effects.push(name)
    if (isTime(number, 'before')) die()
    const work = args[0]
    const dying = () => {
      const result = (work as Call)()
      return isTime(number, 'inside') ? die() : result
    }
    const result = call(...(typeof work === 'function' ? [dying] : args))
    const end = (value: unknown) => (dead || isTime(number, 'after') ? die() : value)
    return result instanceof Promise ? result.then(end) : end(result)
  }

  function guard(name: string, call: Call, isEffect: () => boolean): Call {
    return (...args) => {
      if (dead) die()
      return isEffect() ? affect(name, call, args) : call(...args)
    }
  }

  return {
    through<T extends object>(name: string, dependency: T): T {
      const guarded = Object.entries(dependency).map(([key, member]) => {
        if (typeof member !== 'function' || key === 'close') return [key, member]
        const isEffect = EFFECTS[name]?.includes(key) ?? false
        const outermost = () =>
          isEffect && !(dependency as { db?: { isTransaction: boolean } }).db?.isTransaction
        return [key, guard(key, member.bind(dependency) as Call, outermost)]
      })
      return Object.fromEntries(guarded) as T
    },
    /** Counts effects anew; without a kill it lives on. */
    arm(kill?: Kill): void {
      armed = kill
      effects = []
    },
    /** What had an effect since `arm`, by name. */
    effects: (): readonly string[] => effects,
    dead: () => dead,
  }
}

export type Mortality = ReturnType<typeof createMortality>
