#!/usr/bin/env node
// Plain JavaScript on purpose: it must run on whatever Node the machine has, to find the Node 24 that the project pins.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const NEEDED = 24
const script = fileURLToPath(new URL('./weir.ts', import.meta.url))
const pinned = fileURLToPath(
  new URL(`../node_modules/node/bin/node${process.platform === 'win32' ? '.exe' : ''}`, import.meta.url),
)

if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  process.argv[1] = script
  await import('./weir.ts')
} else if (existsSync(pinned)) {
  const child = spawn(pinned, [script, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
} else {
  console.error(
    `weir needs Node ${NEEDED} or newer; this is ${process.version}, and the pinned one is not installed.\n` +
      'Run `npm ci` in the project folder, with install scripts allowed (not --ignore-scripts): it brings Node 24 along.\n' +
      'Or install Node 24 and run this again.',
  )
  process.exit(1)
}
