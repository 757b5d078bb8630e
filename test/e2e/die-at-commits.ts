import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { DatabaseSync, StatementSync, type SQLInputValue } from 'node:sqlite'

// For a controller that dies of what it commits. What it died of is in a file, so that its next life knows.

/** Lines of "MOMENT SUBJECT: TRANSITION". */
const DEATHS = required('DEATHS_FILE')
/** A JSON list of transitions at which it is to live on. */
const SPARED = required('SPARED_FILE')

function required(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

export interface Noted {
  readonly subject: string
  readonly transition: string
}

/** A statement that is about to change something. */
export interface Change {
  readonly sql: string
  readonly values: readonly string[]
  /** A row as it stands before that. */
  readonly row: (sql: string, ...values: string[]) => Record<string, unknown> | undefined
}

/**
 * Kills this process (SIGKILL) at each transition that its database is told of, once before the commit that makes it and once
 * after, before anything that follows from it is done.
 */
export function dieAtCommits(transitionsIn: (change: Change) => readonly Noted[]): void {
  const died = new Set(existsSync(DEATHS) ? readFileSync(DEATHS, 'utf8').split('\n') : [])
  const databases = new WeakMap<StatementSync, DatabaseSync>()
  /** Made by the transaction under way. */
  let pending: Noted[] = []

  function dieAt(moment: 'before' | 'after'): void {
    const spared = new Set(JSON.parse(readFileSync(SPARED, 'utf8')) as string[])
    const news = pending
      .filter(({ transition }) => !spared.has(transition))
      .map(({ subject, transition }) => `${moment} ${subject}: ${transition}`)
      .filter(death => !died.has(death))
    if (news.length === 0) return
    appendFileSync(DEATHS, `${news.join('\n')}\n`)
    process.kill(process.pid, 'SIGKILL')
  }

  const prepare = DatabaseSync.prototype.prepare
  DatabaseSync.prototype.prepare = function (sql) {
    const statement = prepare.call(this, sql)
    databases.set(statement, this)
    return statement
  }

  const runStatement = StatementSync.prototype.run as (...values: SQLInputValue[]) => unknown
  Object.assign(StatementSync.prototype, {
    run(this: StatementSync, ...values: SQLInputValue[]) {
      const db = databases.get(this)
      const row: Change['row'] = (sql, ...of) => db && prepare.call(db, sql).get(...of)
      pending.push(...transitionsIn({ sql: this.sourceSQL, values: values.map(String), row }))
      return runStatement.apply(this, values)
    },
  })

  const exec = DatabaseSync.prototype.exec
  DatabaseSync.prototype.exec = function (sql) {
    if (sql === 'COMMIT') dieAt('before')
    exec.call(this, sql)
    if (sql === 'COMMIT') dieAt('after')
    if (sql === 'COMMIT' || sql === 'ROLLBACK') pending = []
  }
}
