/** Whether a metric's value satisfies a condition. NaN, which nothing is known from, satisfies none. */
export type Condition = (result: number) => boolean

/** Nothing that people write by hand is longer, or nested deeper. */
const MAX_LENGTH = 200
const MAX_DEPTH = 20

/**
 * Reads a condition such as `result < 0.01 && result >= 0`: comparisons of `result` (also written `result[0]`, as in Argo
 * Rollouts) with numbers, joined by && and ||, negated by !, grouped by parentheses. It is read once and never evaluated
 * as code. Throws an error that names what it did not understand.
 */
export function parseCondition(text: string): Condition {
  if (text.length > MAX_LENGTH) throw new Error(`a condition has at most ${MAX_LENGTH} characters`)
  const reader = createReader(text)
  const condition = parseAny(reader, 0)
  reader.expectEnd()
  if (!reader.hasRead(RESULT)) throw new Error('a condition without `result` is always the same')
  return result => !Number.isNaN(result) && condition(result) // also where NaN is not less than anything: !(result < 1)
}

function parseAny(reader: Reader, depth: number): Condition {
  const parts = [parseAll(reader, depth)]
  while (reader.take('||')) parts.push(parseAll(reader, depth))
  return result => parts.some(part => part(result))
}

function parseAll(reader: Reader, depth: number): Condition {
  const parts = [parseOne(reader, depth)]
  while (reader.take('&&')) parts.push(parseOne(reader, depth))
  return result => parts.every(part => part(result))
}

function parseOne(reader: Reader, depth: number): Condition {
  if (depth > MAX_DEPTH) throw new Error('a condition is nested too deeply')
  if (reader.take('!')) {
    const negated = parseOne(reader, depth + 1)
    return result => !negated(result)
  }
  if (reader.take('(')) {
    const inner = parseAny(reader, depth + 1)
    reader.expect(')')
    return inner
  }
  return parseComparison(reader)
}

function parseComparison(reader: Reader): Condition {
  const left = parseOperand(reader)
  const compare = COMPARISONS.get(reader.next())
  if (!compare) throw reader.misunderstood('a comparison: < <= > >= == !=')
  const right = parseOperand(reader)
  return result => compare(left(result), right(result))
}

const COMPARISONS: ReadonlyMap<string, (a: number, b: number) => boolean> = new Map([
  ['<', (a, b) => a < b],
  ['<=', (a, b) => a <= b],
  ['>', (a, b) => a > b],
  ['>=', (a, b) => a >= b],
  ['==', (a, b) => a === b],
  ['!=', (a, b) => a !== b],
])

function parseOperand(reader: Reader): (result: number) => number {
  const token = reader.next()
  if (RESULT.test(token)) return result => result
  const number = NUMBER.test(token) ? Number(token) : Number.NaN
  if (Number.isNaN(number)) throw reader.misunderstood('`result` or a number')
  return () => number
}

const TOKEN =
  /\s*(&&|\|\||<=|>=|==|!=|[<>!()]|result(?:\[0\])?(?!\w)|-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?!\w))/iy
const NUMBER = /^-?[\d.]/
const RESULT = /^result(\[0\])?$/

type Reader = ReturnType<typeof createReader>

function createReader(text: string) {
  const read: string[] = []
  let at = 0
  let last = 0
  const peek = () => {
    TOKEN.lastIndex = at
    return TOKEN.exec(text)
  }
  const next = () => {
    const match = peek()
    last = at
    at += match?.[0].length ?? 0
    const token = match?.[1] ?? ''
    read.push(token)
    return token
  }
  const misunderstood = (expected: string) =>
    new Error(`expected ${expected} at "${text.slice(last).trim().slice(0, 30)}"`)
  return {
    next,
    misunderstood,
    hasRead: (token: RegExp) => read.some(one => token.test(one)),
    take(token: string): boolean {
      if (peek()?.[1] !== token) return false
      next()
      return true
    },
    expect(token: string): void {
      if (next() !== token) throw misunderstood(`"${token}"`)
    },
    expectEnd(): void {
      last = at
      if (text.slice(at).trim() !== '') throw misunderstood('&&, || or the end')
    },
  }
}
