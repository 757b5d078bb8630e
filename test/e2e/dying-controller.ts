import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { DatabaseSync, StatementSync, type SQLInputValue } from 'node:sqlite'
import type { Run } from '../../controller/lifecycle/pipeline-run.ts'
import { FIRST_TRANSITION, transitionsOf } from '../controller/pipeline-transitions.ts'

// Preloaded into a real controller (node --import): kills it at each transition of a run of the pipeline, once before the
// commit that makes it and once after, before anything that follows from it is done. What it died of is in a file, so that
// its next life knows.

/** Lines of "MOMENT RUN: TRANSITION". */
const DEATHS = required('DEATHS_FILE')
/** A JSON list of transitions at which it is to live on. */
const SPARED = required('SPARED_FILE')

function required(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

const died = new Set(existsSync(DEATHS) ? readFileSync(DEATHS, 'utf8').split('\n') : [])
const databases = new WeakMap<StatementSync, DatabaseSync>()
/** Made by the transaction under way. */
let pending: { readonly run: string; readonly transition: string }[] = []

function dieAt(moment: 'before' | 'after'): void {
  const spared = new Set(JSON.parse(readFileSync(SPARED, 'utf8')) as string[])
  const news = pending
    .filter(({ transition }) => !spared.has(transition))
    .map(({ run, transition }) => `${moment} ${run}: ${transition}`)
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
    const sql = this.sourceSQL
    if (sql.startsWith('INSERT INTO pipeline_runs'))
      pending.push({ run: String(values[0]), transition: FIRST_TRANSITION })
    if (sql.startsWith('UPDATE pipeline_runs SET run')) note(this, String(values[2]), String(values[0]))
    return runStatement.apply(this, values)
  },
})

function note(statement: StatementSync, run: string, after: string): void {
  const db = databases.get(statement)
  const row = db && prepare.call(db, 'SELECT run FROM pipeline_runs WHERE id = ?').get(run)
  if (row === undefined) throw new Error(`there is no run ${run} to change`)
  const before = JSON.parse(String(row['run'])) as Run
  for (const transition of transitionsOf(before, JSON.parse(after) as Run)) pending.push({ run, transition })
}

const exec = DatabaseSync.prototype.exec
DatabaseSync.prototype.exec = function (sql) {
  if (sql === 'COMMIT') dieAt('before')
  exec.call(this, sql)
  if (sql === 'COMMIT') dieAt('after')
  if (sql === 'COMMIT' || sql === 'ROLLBACK') pending = []
}
