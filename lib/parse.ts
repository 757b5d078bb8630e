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
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const branches = issue.errors.map(errors => errors.map(inner => describeIssue(inner)).join('; '))
    return `${place === '' ? '' : `${place}: `}none of the allowed forms fits (${branches.join(' | ')})`
  }
  return place === '' ? issue.message : `${place}: ${issue.message}`
}
