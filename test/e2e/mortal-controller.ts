import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { describeProblem } from '../../lib/problem.ts'

const MAIN = fileURLToPath(new URL('../../controller/main.ts', import.meta.url))

/** What happens between a death and the next life. */
type Interlude = () => Promise<void>

/** Whose transitions it dies of. */
export type MortalBy = 'pipeline' | 'environments'
const PRELOADS: Readonly<Record<MortalBy, string>> = {
  pipeline: import.meta.resolve('./dying-controller.ts'),
  environments: import.meta.resolve('./dying-environments.ts'),
}

/** A real controller, one life after the other until the test ends: it is killed as ./die-at-commits.ts says. */
export function startMortalController(
  t: Test,
  dir: string,
  { by, ...options }: Readonly<Record<string, string | number>> & { readonly by: MortalBy },
) {
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const deathsFile = join(dir, 'deaths')
  const sparedFile = join(dir, 'spared.json')
  const logFile = join(dir, 'controller.log')
  const interludes = new Map<string, Interlude>()
  let problem: string | undefined
  let isOver = false
  spare([])
  let child = live()

  function live(): ChildProcess {
    const output = openSync(logFile, 'a')
    const started = spawn(process.execPath, ['--import', PRELOADS[by], MAIN, ...args], {
      stdio: ['ignore', output, output],
      env: { ...process.env, ...COMPILE_CACHE, DEATHS_FILE: deathsFile, SPARED_FILE: sparedFile },
    })
    closeSync(output)
    started.once('exit', (code, signal) => {
      if (isOver) return
      if (signal === 'SIGKILL') liveAgain().catch((error: unknown) => (problem ??= describeProblem(error)))
      else problem ??= `the controller ended by itself (${code ?? signal}):\n${logTail()}`
    })
    return started
  }

  async function liveAgain(): Promise<void> {
    for (const death of deaths()) {
      const interlude = interludes.get(death)
      if (interlude === undefined) continue
      interludes.delete(death)
      await interlude()
    }
    if (!isOver) child = live()
  }

  function deaths(): string[] {
    return existsSync(deathsFile) ? readFileSync(deathsFile, 'utf8').split('\n').filter(Boolean) : []
  }

  const logTail = () => readFileSync(logFile, 'utf8').slice(-4000)

  function spare(transitions: Iterable<string>): void {
    writeFileSync(sparedFile, JSON.stringify([...transitions]))
  }

  t.teardown(async () => {
    isOver = true
    if (!t.passing()) t.comment(logTail())
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })

  return {
    /** Transitions at which it lives on from now on. */
    spare,
    /** What it died of so far: "MOMENT SUBJECT: TRANSITION". */
    deaths,
    /** Does something, once, after it died of this and before it lives again. */
    onDeath: (death: string, interlude: Interlude) => void interludes.set(death, interlude),
    /** Throws what went wrong beside its deaths. */
    requireWell(): void {
      if (problem !== undefined) throw new Error(problem)
    },
  }
}
