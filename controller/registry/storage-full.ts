import { WeirError } from '../../contract/errors.ts'

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
const SQLITE_FULL = 13

/** What to throw for an error that came while a version was stored: `insufficient_storage` where there is no room. */
export function storageFull(error: NodeJS.ErrnoException & { readonly errcode?: number }): Error {
  if (!FULL.has(error.code ?? '') && error.errcode !== SQLITE_FULL) return error
  return new WeirError(
    'insufficient_storage',
    'the version does not fit on the disk; nothing of it was kept',
    {
      cause: error,
    },
  )
}
