import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const FOLDER = fileURLToPath(new URL('./.venv', import.meta.url))
const REQUIREMENTS = fileURLToPath(new URL('./peers/requirements.txt', import.meta.url))
/** A copy of the requirements, written when all of them were installed. */
const INSTALLED = join(FOLDER, 'installed.txt')
const INSTALL_LIMIT_MS = 20 * 60_000

export type PythonEnvironment =
  | { readonly kind: 'ready'; readonly bin: string }
  | { readonly kind: 'missing'; readonly reason: string }

/**
 * The virtual environment of the peers in Python, kept from one run to the next. PyTorch's own index has wheels without CUDA
 * (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu); elsewhere it comes with gigabytes of libraries that nothing uses.
 */
export async function findPythonEnvironment({ install }: { install: boolean }): Promise<PythonEnvironment> {
  const wanted = await readFile(REQUIREMENTS, 'utf8')
  const bin = join(FOLDER, 'bin')
  if (existsSync(INSTALLED) && (await readFile(INSTALLED, 'utf8')) === wanted) return { kind: 'ready', bin }
  if (!install)
    return { kind: 'missing', reason: 'their packages are not installed and --short installs nothing' }
  console.log('installing the peers in Python, once; PyTorch takes minutes')
  try {
    await rm(FOLDER, { recursive: true, force: true })
    await run('python3', ['-m', 'venv', FOLDER])
    await run(join(bin, 'pip'), ['install', '--quiet', '--requirement', REQUIREMENTS], {
      timeout: INSTALL_LIMIT_MS,
    })
  } catch (error) {
    const { stderr } = error as { stderr?: string }
    const lines = (stderr || String(error)).trim().split('\n')
    return { kind: 'missing', reason: `their packages cannot be installed: ${lines.at(-1)}` }
  }
  await writeFile(INSTALLED, wanted)
  return { kind: 'ready', bin }
}
