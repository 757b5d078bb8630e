import { WeirError } from '../../contract/errors.ts'
import { describeProblem } from '../../lib/problem.ts'
import type { Registry } from '../registry/registry.ts'

/** What the registry has under a number, or why it has nothing there that could be used. */
export type RegisteredAs = { readonly version: string } & (
  | { readonly digest: string }
  | { readonly problem: string }
)

/** Undefined: the registry could not be asked. */
export async function registeredAs(
  registry: Pick<Registry, 'get'>,
  model: string,
  version: string,
): Promise<RegisteredAs | undefined> {
  try {
    const { digest } = await registry.get(model, version)
    return { version, digest }
  } catch (error) {
    const isAnswer = error instanceof WeirError && error.statusCode < 500
    return isAnswer ? { version, problem: describeProblem(error) } : undefined
  }
}

interface Content {
  readonly version: string
  readonly digest: string
}

/** Why a version's alias is not to lead to this content; null: nothing is known against it. */
export function whyNotRegistered({ version, digest }: Content, as: RegisteredAs | undefined): string | null {
  if (as === undefined || as.version !== version) return null
  if ('problem' in as) return as.problem
  return as.digest === digest ? null : `version ${version} is registered as ${as.digest}`
}

/** Whether it was seen that the registry has exactly this content under the version's number. */
export function isRegistered(content: Content, as: RegisteredAs | undefined): boolean {
  return as?.version === content.version && whyNotRegistered(content, as) === null
}
