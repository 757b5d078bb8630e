import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'

/** Who may import whom: docs/architecture.md. A folder may always import itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  lib: [],
  gateway: ['contract', 'lib'],
  serving: ['contract', 'lib'],
  controller: ['client', 'contract', 'lib'],
  client: ['contract'],
  cli: ['client', 'contract', 'lib', 'controller/judge'],
}

t.test('folders import only what the architecture allows', async t => {
  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    const files = (await readdir(folder, { recursive: true })).filter(name => name.endsWith('.ts'))
    const wrong = (await Promise.all(files.map(name => foreignImports(join(folder, name))))).flat()
    const forbidden = wrong.filter(({ target }) => !isWithin(target, [folder, ...allowed]))
    t.same(forbidden, [], `${folder} (${files.length} files)`)
  }
})

t.test('the judge is pure: no clock, no input or output, no environment', async t => {
  const files = await readdir('controller/judge', { recursive: true })
  const impure = /\b(process\.|Date\.now|new Date|performance\.|setTimeout|fetch\(|from 'node:)/
  for (const name of files.filter(file => file.endsWith('.ts'))) {
    t.notMatch(await readFile(join('controller/judge', name), 'utf8'), impure, name)
  }
})

t.test('only main.ts and the command line read the environment, take signals and exit', async t => {
  for (const folder of ['contract', 'client', 'gateway', 'serving', 'controller']) {
    const files = (await readdir(folder, { recursive: true })).filter(
      name => name.endsWith('.ts') && !name.endsWith('main.ts'),
    )
    for (const name of files) {
      const text = await readFile(join(folder, name), 'utf8')
      t.notMatch(text, /process\.exit\(|process\.on\('SIG/, `${folder}/${name}`)
    }
  }
})

async function foreignImports(file: string): Promise<{ file: string; target: string }[]> {
  const text = await readFile(file, 'utf8')
  const specifiers = [...text.matchAll(/^(?:import|export)[^'"]*from '(\.[^']+)'/gm)].map(
    match => match[1] ?? '',
  )
  return specifiers.map(specifier => ({ file, target: normalize(join(dirname(file), specifier)) }))
}

function isWithin(target: string, folders: readonly string[]): boolean {
  return folders.some(folder => target.startsWith(`${folder}/`))
}
