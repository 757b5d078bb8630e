import { readFile } from 'node:fs/promises'
import { writeFileAtomic } from './atomic-file.ts'

const OWNER_ONLY = 0o600

/**
 * The line of text that a state folder is given once and keeps, such as a key: what the file says, or what `make` gives, written so
 * that only the owner can read it. An empty file counts as none.
 */
export async function keptSecret(path: string, make: () => string): Promise<string> {
  try {
    const text = (await readFile(path, 'utf8')).trim()
    if (text !== '') return text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const made = make()
  await writeFileAtomic(path, `${made}\n`, OWNER_ONLY)
  return made
}
