import type { Command } from 'commander'
import { COMPILE_CACHE } from '../../lib/compile-cache.ts'
import { LEAN_ENV, LEAN_FLAGS } from '../../lib/lean-memory.ts'
import { execProgram } from '../exec.ts'
import { passOn } from '../pass-on.ts'

const OPTIONS: readonly (readonly [flags: string, description: string])[] = [
  ['--port <number>', 'where to listen (9101; 0: any free port)'],
  ['--host <address>', 'where to listen (127.0.0.1)'],
  [
    '--drill <settings>',
    'fail or slow a part of the answers: failRate=0.2,delayMs=300,after=50,statusCode=500',
  ],
  ['--workers <number>', 'inference threads (one a core, at most 4)'],
  ['--threads <number>', 'threads within one inference (what the workers leave of the cores)'],
  ['--max-batch <number>', 'requests computed together (1)'],
  ['--max-delay-ms <number>', 'how long a request waits for others to share its batch (0)'],
  ['--queue <number>', 'requests that may wait (128)'],
  ['--max-pixels <number>', 'largest image that is decoded (32000000)'],
  ['--samples <folder>', 'photos for /test, listed in samples.json'],
  ['--owner-pid <pid>', 'end when this process ends'],
]

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .description('serve one model version on its own')
    .requiredOption('--model <folder or file>', 'a version (model.onnx and model.json), or a bare .onnx file')
  for (const [flags, description] of OPTIONS) command.option(flags, description)
  command.action((options: Readonly<Record<string, string>>) => {
    // both settings are read when a process starts, so it becomes another one
    const env = { ...COMPILE_CACHE, ...LEAN_ENV }
    execProgram('serving/main.ts', passOn(options), { env, flags: LEAN_FLAGS })
  })
}
