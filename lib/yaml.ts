import { parse } from 'yaml'
import { describeProblem } from './problem.ts'

/** A YAML text's value, or in one line what is wrong and where; the parser's own message goes on with the text around it. */
export function readYaml(text: string): { readonly value: unknown } | { readonly problem: string } {
  try {
    return { value: parse(text) }
  } catch (error) {
    const [problem = ''] = describeProblem(error).split('\n', 1)
    return { problem: problem.replace(/:$/, '') }
  }
}
