import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const weir = new URL('../../cli/weir.ts', import.meta.url).pathname
const run = promisify(execFile)

const ROLLOUT = `
apiVersion: weir.dev/v1alpha1
kind: Rollout
metadata: { name: check }
spec: { route: food11, modelVersion: "2" }
`
const look = (t: number, failures: number) => ({
  t,
  weights: { stable: 9000, candidate: 1000 },
  series: ['stable', 'candidate'].map(variant => ({
    id: 'gw-0',
    variant,
    requests: t * 100,
    failures: variant === 'candidate' ? failures : 0,
  })),
})
const HISTORY = JSON.stringify({ looks: [look(0, 0), look(5, 0), look(10, 400), look(15, 400)] })

/** Runs `weir judge` on files with these contents. */
async function judge(t: Test, { rollout = ROLLOUT, history = HISTORY } = {}) {
  const folder = t.testdir()
  const files = { rollout: join(folder, 'rollout.yaml'), history: join(folder, 'history.json') }
  await Promise.all([writeFile(files.rollout, rollout), writeFile(files.history, history)])
  const command = [weir, 'judge', '--rollout', files.rollout, '--history', files.history]
  return run(process.execPath, command).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )
}

t.test('prints a decision for every look, a line each', async t => {
  const { code, stdout } = await judge(t)
  t.equal(code, 0)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  t.equal(lines.length, 4)
  t.match(lines[0], { t: 0, action: 'hold', e: 1, threshold: 100, cause: null, u: 1, reason: String })
  t.match(lines[3], {
    t: 15,
    action: 'withdraw',
    cause: 'failure',
    exposure: { stable: 1500, candidate: 1500 },
  })
})

t.test('takes a rollout in JSON too', async t => {
  const rollout = {
    apiVersion: 'weir.dev/v1alpha1',
    kind: 'Rollout',
    metadata: { name: 'check' },
    spec: { route: 'food11', modelVersion: '2' },
  }
  t.equal((await judge(t, { rollout: JSON.stringify(rollout) })).code, 0)
})

const bad = {
  'an unknown setting': {
    rollout: ROLLOUT.replace('modelVersion: "2"', 'modelVersion: "2", analysis: { alpa: 0.01 }'),
    message: /rollout\.yaml: unknown setting "spec\.analysis\.alpa"/,
  },
  'a setting out of range': {
    rollout: ROLLOUT.replace('modelVersion: "2"', 'modelVersion: "2", analysis: { alpha: 2 }'),
    message: /rollout\.yaml: spec\.analysis\.alpha/,
  },
  'YAML that is none': { rollout: 'a: [\nb', message: /rollout\.yaml cannot be read/ },
  'JSON that is none': { history: '{', message: /history\.json cannot be read/ },
  'a look without counters': {
    history: '{"looks":[{"t":1,"weights":{}}]}',
    message: /history\.json: looks\.0\.series/,
  },
  'an empty file': { history: '', message: /history\.json cannot be read/ },
}

for (const [what, { message, ...files }] of Object.entries(bad)) {
  t.test(`${what} is named in one line, with exit code 1`, async t => {
    const { code, stdout, stderr } = await judge(t, files)
    t.equal(code, 1)
    t.equal(stdout, '')
    t.match(stderr, message)
    t.equal(stderr.trim().split('\n').length, 1)
  })
}
