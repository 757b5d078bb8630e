import { WeirError } from '../contract/errors.ts'

const BASE64 = /^(?:data:[\w.+/-]+;base64,)?([A-Za-z0-9+/_-]*)={0,2}$/

/** Bytes of a base64 text (also base64url, also as a data: URL); `where` names the field in the error. */
export function decodeBase64(text: string, where: string): Uint8Array {
  const compact = /\s/.test(text) ? text.replaceAll(/\s+/g, '') : text
  const digits = BASE64.exec(compact)?.[1]
  if (digits === undefined || digits.length % 4 === 1)
    throw new WeirError('bad_request', `${where} is not base64`)
  return Buffer.from(digits, 'base64')
}
