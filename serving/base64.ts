import { WeirError } from '../contract/errors.ts'

const BASE64 = /^(?:data:[\w.+/-]+;base64,)?([A-Za-z0-9+/_\s-]*)(?:=\s*){0,2}$/
const WHITE_SPACE = /\s/g

/** Bytes of a base64 text (also base64url, in lines, or as a data: URL); `where` names the field in the error. */
export function decodeBase64(text: string, where: string): Uint8Array {
  const digits = BASE64.exec(text)?.[1]
  if (digits === undefined || (digits.length - whiteSpaceIn(digits)) % 4 === 1)
    throw new WeirError('bad_request', `${where} is not base64`)
  return Buffer.from(digits, 'base64') // which passes over white space
}

/** Taking it out first took seconds and hundreds of megabytes where every second character was a space. */
function whiteSpaceIn(text: string): number {
  WHITE_SPACE.lastIndex = 0
  let count = 0
  while (WHITE_SPACE.test(text)) count++
  return count
}
