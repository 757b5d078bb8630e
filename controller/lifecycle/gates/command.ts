import { spawn, type ChildProcess } from 'node:child_process'
import type { CommandSettings } from '../../../contract/gate.ts'
import type { Clock } from '../../../lib/clock.ts'
import { describeProblem } from '../../../lib/problem.ts'
import { createGate, type Gate, type GateSubject, type Measured } from './gate.ts'

const MAX_OUTPUT_BYTES = 16 * 1024

/** A program of the team's own: exit code 0 passes, 1 fails, and everything else is an error. */
export function createCommandGate(settings: CommandSettings, clock: Clock): Gate {
  return createGate(settings.name, clock, async (subject, signal) => {
    const ended = await runCommand(settings, subject, signal)
    return judgeCommand(settings, ended)
  })
}

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  readonly timedOut: boolean
}

function judgeCommand({ argv, timeout }: CommandSettings, { timedOut, ...ended }: Ended): Measured {
  const evidence = { gate: 'command', argv, ...ended } as const
  const { code, signal, output } = ended
  const said = lastLine(output)
  const program = argv[0] ?? ''
  if (timedOut)
    return { verdict: 'error', reason: `${program} had not ended after ${timeout / 1000} s`, evidence }
  if (code === null) return { verdict: 'error', reason: `${program} was ended by ${signal}`, evidence }
  const reason = `${program} ended with code ${code}${said === '' ? '' : `: ${said}`}`
  return { verdict: code === 0 ? 'pass' : code === 1 ? 'fail' : 'error', reason, evidence }
}

/** Rejects when it cannot be started. Its whole process group ends with the time limit, and with `stop`. */
async function runCommand(
  { argv: [program = '', ...args], env, timeout }: CommandSettings,
  subject: GateSubject,
  stop: AbortSignal,
): Promise<Ended> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, with whatever processes it starts
    env: { ...process.env, ...aboutSubject(subject), ...env },
  })
  const output = keepEnd(child)
  const limit = AbortSignal.timeout(timeout)
  const enough = AbortSignal.any([stop, limit])
  const kill = () => killGroup(child)
  enough.addEventListener('abort', kill)
  if (enough.aborted) kill()
  try {
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.once('error', cause =>
        reject(new Error(`${program} cannot be run: ${describeProblem(cause)}`, { cause })),
      )
      child.once('close', (code, signal) => resolve([code, signal]))
    })
    return { code, signal, output: output(), timedOut: limit.aborted }
  } finally {
    enough.removeEventListener('abort', kill)
  }
}

function aboutSubject(subject: GateSubject): Record<string, string> {
  const { model, version, digest, endpoints, folder, samples, production } = subject
  return {
    WEIR_MODEL: model,
    WEIR_VERSION: version,
    WEIR_DIGEST: digest,
    WEIR_ENDPOINT: endpoints[0] ?? '',
    WEIR_ENDPOINTS: endpoints.join(' '),
    WEIR_FOLDER: folder,
    WEIR_SAMPLES: samples,
    ...(production && { WEIR_PRODUCTION_ENDPOINT: production.endpoints[0] ?? '' }),
  }
}

/** What it wrote last, both streams together. */
function keepEnd({ stdout, stderr }: ChildProcess): () => string {
  let kept = Buffer.alloc(0)
  const keep = (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]).subarray(-MAX_OUTPUT_BYTES)
  }
  stdout?.on('data', keep)
  stderr?.on('data', keep)
  return () => kept.toString('utf8')
}

function killGroup({ pid, stdout, stderr }: ChildProcess): void {
  if (pid === undefined) return // it has never started
  for (const stream of [stdout, stderr]) stream?.destroy() // what has left the group may hold them for ever
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it has just ended
  }
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.slice(0, 300) ?? ''
}
