import { parseArgs } from 'node:util'
import { z } from 'zod'
import { drill, type Drill } from '../contract/rollout.ts'
import { describeIssues } from '../lib/parse.ts'
import { usableCores } from './cores.ts'
import { DEFAULT_MAX_PIXELS } from './image.ts'

class OptionError extends Error {}

/** Beyond this many, threads of one process gain less than the 50 MB that each costs; cores left over go to their sessions. */
const MAX_DEFAULT_WORKERS = 4

const MODEL_REQUIRED = 'is required: the folder of a version, or an .onnx file'

const whole = (least: number, most: number) => z.coerce.number().pipe(z.int().min(least).max(most))

const serveOptions = z.strictObject({
  model: z.string(MODEL_REQUIRED).min(1, MODEL_REQUIRED),
  host: z.string().default('127.0.0.1'),
  port: whole(0, 65_535).default(9101),
  samples: z.string().optional(),
  drill: z.string().transform(parseDrill).optional(),
  workers: whole(1, 64).optional(),
  threads: whole(1, 64).optional(),
  'max-batch': whole(1, 64).default(1),
  'max-delay-ms': whole(0, 1000).default(0),
  queue: whole(1, 10_000).default(128),
  'max-pixels': whole(1, 1_000_000_000).default(DEFAULT_MAX_PIXELS),
  'owner-pid': whole(1, 2 ** 31).optional(),
})

export type ServeOptions = Omit<z.infer<typeof serveOptions>, 'workers' | 'threads'> & {
  readonly workers: number
  readonly threads: number
}

/** The command line, with every default filled in. Throws OptionError naming the option. */
export function parseServeOptions(args: readonly string[]): ServeOptions {
  const parsed = serveOptions.safeParse(readArgs(args))
  if (!parsed.success)
    throw new OptionError(describeIssues(parsed.error).replaceAll(/(^|; )(?=[a-z-]+: )/g, '$1--'))
  return { ...parsed.data, ...chooseThreads(usableCores(), parsed.data) }
}

function readArgs(args: readonly string[]): unknown {
  const options = Object.fromEntries(
    Object.keys(serveOptions.shape).map(name => [name, { type: 'string' as const }]),
  )
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause))
  }
}

/** One session per core up to a limit, and the cores that remain as threads within each session. */
export function chooseThreads(
  cores: number,
  asked: { readonly workers?: number | undefined; readonly threads?: number | undefined },
): { workers: number; threads: number } {
  const workers = asked.workers ?? Math.max(1, Math.min(cores, MAX_DEFAULT_WORKERS))
  return { workers, threads: asked.threads ?? Math.max(1, Math.floor(cores / workers)) }
}

/** "failRate=0.2,delayMs=300" → a drill. */
function parseDrill(text: string, context: z.RefinementCtx): Drill {
  const entries = text.split(',').map(pair => {
    const [key = '', value = ''] = pair.split('=')
    return [key.trim(), value.trim() === '' ? Number.NaN : Number(value)] as const
  })
  const parsed = drill.safeParse(Object.fromEntries(entries))
  if (parsed.success) return parsed.data
  context.addIssue({
    code: 'custom',
    message: `${describeIssues(parsed.error)}; write failRate=0.2,delayMs=300`,
  })
  return z.NEVER
}
