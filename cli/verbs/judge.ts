import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parse as parseYaml } from 'yaml'
import type { z } from 'zod'
import { history, type Decision } from '../../contract/history.ts'
import { rolloutFile } from '../../contract/rollout.ts'
import { replayRollout } from '../../controller/judge/judge-for.ts'
import { describeIssues } from '../../lib/parse.ts'

export function addJudge(program: Command): void {
  program
    .command('judge')
    .description('run the judge on recorded counts and print every decision as a line of JSON')
    .requiredOption('--rollout <file>', 'the rollout, YAML or JSON')
    .requiredOption('--history <file>', 'the looks, JSON')
    .action(judgeFiles)
}

async function judgeFiles(files: { readonly rollout: string; readonly history: string }): Promise<void> {
  const rollout = await readAs(files.rollout, rolloutFile, parseYamlPlainly)
  const looks = await readAs(files.history, history, JSON.parse)
  const decisions = replayRollout(looks, rollout.spec)
  await print(decisions.map(decision => `${toLine(decision)}\n`).join(''))
}

async function readAs<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  parse: (text: string) => unknown,
): Promise<z.infer<Schema>> {
  const text = await readFile(path, 'utf8')
  const result = schema.safeParse(parseNaming(path, () => parse(text)))
  if (!result.success) throw new Error(`${path}: ${describeIssues(result.error)}`)
  return result.data
}

/** JSON is YAML too. Pretty errors would show the place over several lines. */
function parseYamlPlainly(text: string): unknown {
  return parseYaml(text, { prettyErrors: false })
}

function parseNaming(path: string, parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    throw new Error(`${path} cannot be read`, { cause: error })
  }
}

function toLine({ t, action, e, threshold, cause, u, exposure, reason }: Decision): string {
  return JSON.stringify({ t, action, e, threshold, cause, u, exposure, reason })
}

/** Resolves when all is written, so that a pipe that reads slowly loses nothing. */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, error => (error ? reject(error) : resolve()))
  })
}
