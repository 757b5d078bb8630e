// One suite for every source of evidence: the judge must not be able to tell them apart.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Evidence, EvidenceResult } from '../../controller/evidence/evidence.ts'
import { createGatewayScrape } from '../../controller/evidence/gateway-scrape.ts'
import { createPrometheus } from '../../controller/evidence/prometheus.ts'
import { freePort } from '../../lib/ports.ts'
import { exposition, listen } from './fake-gateway.ts'

/** Debian's package of that name. */
const PROMETHEUS = 'prometheus'

interface Gateway {
  readonly url: string
  count(stable: number, candidate: number): void
}

async function startGateway(t: Test): Promise<Gateway> {
  const counted = { stable: 0, candidate: 0 }
  const url = await listen(t, (_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    response.end(
      exposition([
        { variant: 'stable', success: counted.stable, failure: 2 },
        { variant: 'candidate', success: counted.candidate },
      ]),
    )
  })
  return { url, count: (stable, candidate) => void Object.assign(counted, { stable, candidate }) }
}

function suite(t: Test, startSource: (t: Test, gateways: readonly Gateway[]) => Promise<Evidence>): void {
  t.test('counts every gateway on its own, with outcomes and durations', async t => {
    const gateways = [await startGateway(t), await startGateway(t)]
    gateways.forEach((gateway, index) => gateway.count(100 + index, 10 + index))
    const evidence = await startSource(t, gateways)
    const result = await eventually(evidence, requests => requests === 102 + 103 + 10 + 11)
    t.match(result, { kind: 'look', warnings: [] })
    if (result.kind !== 'look') return
    const { series } = result.look
    t.equal(new Set(series.map(({ id }) => id)).size, 2)
    t.same(series.map(({ variant }) => variant).sort(), ['candidate', 'candidate', 'stable', 'stable'])
    t.same(series.find(({ requests }) => requests === 102)?.buckets, [
      [0.05, 51],
      [0.1, 102],
      ['+Inf', 102],
    ])
    t.same(series.map(({ failures }) => failures).sort(), [0, 0, 2, 2])
  })

  t.test('sees counters that began again after a restart as they are', async t => {
    const gateway = await startGateway(t)
    gateway.count(100, 10)
    const evidence = await startSource(t, [gateway])
    await eventually(evidence, requests => requests === 112)
    gateway.count(5, 1)
    t.match(await eventually(evidence, requests => requests === 8), { kind: 'look' })
  })

  t.test('says no data for a route that nobody used', async t => {
    const evidence = await startSource(t, [await startGateway(t)])
    t.match(await evidence.look('unused'), { kind: 'no-data', reason: /unused/ })
  })
}

/** Looks until all requests together are as expected; a server that scrapes needs a moment. */
async function eventually(evidence: Evidence, holds: (requests: number) => boolean): Promise<EvidenceResult> {
  for (let tries = 0; tries < 100; tries++) {
    const result = await evidence.look('food11')
    const series = result.kind === 'look' ? result.look.series : []
    if (holds(series.reduce((sum, { requests }) => sum + (requests ?? 0), 0))) return result
    await sleep(100)
  }
  return evidence.look('food11')
}

t.test('the gateways themselves', t => {
  suite(t, async (_, gateways) => createGatewayScrape({ baseUrls: gateways.map(({ url }) => url) }))
  t.end()
})

t.test('a Prometheus server that scrapes the gateways', { skip: reasonToSkip() }, t => {
  suite(t, async (t, gateways) => createPrometheus({ baseUrl: await startPrometheus(t, gateways) }))
  t.end()
})

function reasonToSkip(): string | false {
  if (process.env['WEIR_REQUIRE_ALL'] === '1') return false
  try {
    execFileSync(PROMETHEUS, ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'no prometheus on PATH (Debian package prometheus)'
  }
}

async function startPrometheus(t: Test, gateways: readonly Gateway[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-prometheus-'))
  const targets = gateways.map(({ url }) => new URL(url).host)
  writeFileSync(
    join(folder, 'prometheus.yml'),
    JSON.stringify({
      global: { scrape_interval: '200ms', scrape_timeout: '200ms' },
      scrape_configs: [{ job_name: 'weir', static_configs: [{ targets }] }],
    }),
  )
  const port = await freePort('127.0.0.1', 19_090)
  const server = spawn(
    PROMETHEUS,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  )
  const stopped = new Promise(resolve => server.once('close', resolve))
  t.teardown(async () => {
    server.kill('SIGKILL')
    await stopped
    rmSync(folder, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`
  await untilReady(url)
  return url
}

async function untilReady(url: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const ready = await fetch(`${url}/-/ready`).then(
      response => response.ok,
      () => false,
    )
    if (ready) return
    await sleep(100)
  }
  throw new Error(`prometheus at ${url} is not ready after 10 s`)
}
