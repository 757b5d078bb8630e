import { readdirSync } from 'node:fs'

// npm run bench -- NAME [options]: runs bench/NAME.ts with the options.

const [, , name, ...options] = process.argv
const names = readdirSync(import.meta.dirname)
  .filter(file => file.endsWith('.ts') && file !== 'bench.ts')
  .map(file => file.slice(0, -'.ts'.length))

if (name === undefined || !names.includes(name)) {
  process.stderr.write(`usage: npm run bench -- NAME [options], where NAME is one of ${names.join(', ')}\n`)
  process.exit(1)
}

const script = new URL(`${name}.ts`, import.meta.url)
process.argv = [process.execPath, script.pathname, ...options] // as if it had been called itself
await import(script.href)
