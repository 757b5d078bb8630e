import type { z } from 'zod'

/** What is wrong with a value, one finding a line, each naming the setting: `weights.stable: must be at least 0`. */
export function describeIssues(error: z.ZodError): string {
  return error.issues.map(issue => describeIssue(issue)).join('; ')
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const place = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map(key => `"${place === '' ? key : `${place}.${key}`}"`).join(', ')
    return `unknown setting${issue.keys.length > 1 ? 's' : ''} ${keys}`
  }
  const problem =
    issue.code === 'invalid_union' && issue.errors.length > 0 ? describeForms(issue.errors) : issue.message
  return place === '' ? problem : `${place}: ${problem}`
}

type Form = readonly z.core.$ZodIssue[]

/** Only the forms that may have been meant: those of which nothing is missing. Where that is none, what they are told by. */
function describeForms(forms: readonly Form[]): string {
  const meant = forms.filter(issues => missingIn(issues).length === 0)
  const names = new Set(forms.flatMap(missingIn))
  if (meant.length > 0 || names.size < forms.length) {
    const branches = (meant.length > 0 ? meant : forms).map(issues => issues.map(describeIssue).join('; '))
    return `none of the allowed forms fits (${branches.join(' | ')})`
  }
  const unknown = forms[0]?.flatMap(issue => (issue.code === 'unrecognized_keys' ? issue.keys : [])) ?? []
  const given = unknown.length === 0 ? '' : `, not ${unknown.map(key => `"${key}"`).join(', ')}`
  return `must have one of ${[...names].join(', ')}${given}`
}

/** The settings of its own that a form needs and that were not given. */
function missingIn(form: Form): readonly string[] {
  return form
    .filter(
      ({ code, path, message }) => code === 'invalid_type' && path.length === 1 && IS_MISSING.test(message),
    )
    .map(({ path }) => String(path[0]))
}

const IS_MISSING = /received undefined$/
