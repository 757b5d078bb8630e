import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { FolderInUse, lockFolder } from '../../lib/folder-lock.ts'
import { freePort } from '../../lib/ports.ts'
import { describeProblem } from '../../lib/problem.ts'
import { findProgram } from './programs.ts'
import { until } from './until.ts'

const VERSION = '3.17.0'
const PACKAGE = `mlflow[auth]==${VERSION}`
/** Kept between runs: an installation takes minutes. */
const FOLDER = fileURLToPath(new URL('../../.cache/mlflow', import.meta.url))
const INSTALL_LIMIT_MS = 1_200_000
const START_LIMIT_MS = 300_000

/**
 * The Python that has MLflow, installed here on the first call; or why the test is skipped. With WEIR_REQUIRE_ALL=1 what cannot
 * be installed is an error.
 */
export async function findMlflow(): Promise<{ python: string } | { skip: string }> {
  const found = findProgram('python3')
  if ('skip' in found) return found
  try {
    return { python: await install(found.path) }
  } catch (error) {
    if (process.env['WEIR_REQUIRE_ALL'] === '1') throw error
    return { skip: `needs MLflow, which cannot be installed: ${describeProblem(error).slice(0, 300)}` }
  }
}

async function install(python3: string): Promise<string> {
  const python = join(FOLDER, 'venv/bin/python')
  const mark = join(FOLDER, 'installed')
  const unlock = await until('the installation by another run', INSTALL_LIMIT_MS, async () => lock())
  try {
    if (existsSync(mark) && readFileSync(mark, 'utf8') === PACKAGE) return python
    rmSync(join(FOLDER, 'venv'), { recursive: true, force: true })
    await run(python3, ['-m', 'venv', join(FOLDER, 'venv')])
    // what is imported gets compiled then; compiling all of it takes longer than the download
    const quietly = ['--quiet', '--disable-pip-version-check', '--no-compile']
    await run(python, ['-m', 'pip', 'install', ...quietly, PACKAGE])
    writeFileSync(mark, PACKAGE)
    return python
  } finally {
    unlock()
  }
}

function lock(): (() => void) | undefined {
  try {
    return lockFolder(FOLDER, 'installing')
  } catch (error) {
    if (error instanceof FolderInUse) return undefined
    throw error
  }
}

async function run(program: string, args: string[]): Promise<void> {
  await promisify(execFile)(program, args, { timeout: INSTALL_LIMIT_MS, maxBuffer: 16 * 1024 * 1024 })
}

interface MlflowUser {
  readonly username: string
  /** MLflow wants 12 letters. */
  readonly password: string
}

/** An MLflow server of its own, with SQLite and a folder for artifacts, until the test ends; with a user, for that one only. */
export async function startMlflow(
  t: Test,
  python: string,
  user?: MlflowUser,
): Promise<{ url: string; artifacts: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'weir-mlflow-'))
  const port = await freePort('127.0.0.1', 20_000 + (process.pid % 10_000)) // below those that the system gives away meanwhile
  const artifacts = join(dir, 'artifacts')
  const args = [
    ['server', '--backend-store-uri', `sqlite:///${dir}/m.db`, '--artifacts-destination', artifacts],
    ['--host', '127.0.0.1', '--port', String(port), '--workers', '1'],
    user === undefined ? [] : ['--app-name', 'basic-auth'],
  ].flat()
  const output = openSync(join(dir, 'log'), 'a')
  const child = spawn(python, ['-m', 'mlflow', ...args], {
    detached: true, // it has processes of its own, which go with its group
    stdio: ['ignore', output, output],
    env: {
      ...process.env,
      MLFLOW_DISABLE_TELEMETRY: 'true',
      DO_NOT_TRACK: 'true',
      ...(user && believing(user, dir)),
    },
  })
  t.teardown(() => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  })
  const url = `http://127.0.0.1:${port}`
  await until('MLflow answers', START_LIMIT_MS, async () => {
    if (child.exitCode !== null) throw new Error(`MLflow ended: ${readFileSync(join(dir, 'log'), 'utf8')}`)
    const response = await fetch(`${url}/version`).catch(() => undefined)
    return user === undefined ? (await response?.text()) === VERSION : response?.status === 401
  })
  return { url, artifacts }
}

/** https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/ */
function believing({ username, password }: MlflowUser, dir: string): Record<string, string> {
  const lines = [
    '[mlflow]',
    'default_permission = READ',
    `database_uri = sqlite:///${dir}/auth.db`,
    `admin_username = ${username}`,
    `admin_password = ${password}`,
    'authorization_function = mlflow.server.auth:authenticate_request_basic_auth',
  ]
  writeFileSync(join(dir, 'auth.ini'), lines.join('\n'))
  return { MLFLOW_AUTH_CONFIG_PATH: join(dir, 'auth.ini'), MLFLOW_FLASK_SERVER_SECRET_KEY: password }
}
