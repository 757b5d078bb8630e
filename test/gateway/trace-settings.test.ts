import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { readTraceSettings } from '../../gateway/trace-settings.ts'
import { startCollector } from './collector.ts'
import { startGateway } from './gateway-process.ts'
import { namedUpstream, send, twoVariants } from './harness.ts'

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

test('traces are made when an endpoint is named, unless they are turned off', async t => {
  t.equal(readTraceSettings({}), undefined)
  t.equal(readTraceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }), undefined)
  t.equal(readTraceSettings({ OTEL_TRACES_SAMPLER: 'jaeger_remote' }), undefined, 'meant for others')
  t.equal(readTraceSettings({ ...ENDPOINT, OTEL_SDK_DISABLED: 'True' }), undefined)
  t.equal(readTraceSettings({ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }), undefined)
  t.equal(readTraceSettings(ENDPOINT)?.url, 'http://collector:4318/v1/traces')
  const below = readTraceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector/otlp/' })
  t.equal(below?.url, 'https://collector/otlp/v1/traces')
  const own = readTraceSettings({ ...ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://traces/in' })
  t.equal(own?.url, 'http://traces/in')
})

test('a sampler is a share, and whether the caller is asked first', async t => {
  const sampler = (name: string, argument?: string) => {
    const { parentBased, ratio } =
      readTraceSettings({ ...ENDPOINT, OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument }) ?? {}
    return [parentBased, ratio]
  }
  t.same(sampler(''), [true, 1])
  t.same(sampler('always_on', '0.5'), [false, 1])
  t.same(sampler('always_off'), [false, 0])
  t.same(sampler('traceidratio', '0.25'), [false, 0.25])
  t.same(sampler('parentbased_always_on'), [true, 1])
  t.same(sampler('parentbased_always_off'), [true, 0])
  t.same(sampler('parentbased_traceidratio', '0.01'), [true, 0.01])
})

test('a setting that cannot be meant is refused by name', async t => {
  for (const [name, value] of [
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_TRACES_SAMPLER', 'sometimes'],
    ['OTEL_TRACES_SAMPLER_ARG', '2'],
    ['OTEL_TRACES_EXPORTER', 'zipkin'],
  ] as const)
    t.throws(() => readTraceSettings({ ...ENDPOINT, [name]: value }), { message: new RegExp(name) }, value)
})

/** Writes down which modules of OpenTelemetry a process and those it starts load. */
const RECORDER = `import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
registerHooks({
  load(url, context, next) {
    if (url.includes('/@opentelemetry/')) appendFileSync(process.env.LOADED_FILE, url + '\\n')
    return next(url, context)
  },
})
`

test('the gateway loads OpenTelemetry only when it is asked for, and sends what it has before it ends', async t => {
  const collector = await startCollector(t)
  const url = await namedUpstream(t, 'stable')
  const dir = t.testdir({ 'recorder.mjs': RECORDER, without: {}, with: {} })
  const start = async (name: string, env: Readonly<Record<string, string>>) => {
    const loaded = join(dir, `${name}.loaded`)
    await writeFile(loaded, '')
    const all = { LOADED_FILE: loaded, NODE_OPTIONS: `--import ${join(dir, 'recorder.mjs')}`, ...env }
    const runBy = ['env', ...Object.entries(all).map(([key, value]) => `${key}=${value}`)]
    const gateway = await startGateway(t, [twoVariants(url, url)], { stateDir: join(dir, name), runBy })
    const { text } = await send(gateway.port)
    gateway.child.kill('SIGTERM')
    return { text, code: await gateway.exited, loaded: await readFile(loaded, 'utf8') }
  }

  t.same(await start('without', { OTEL_SERVICE_NAME: 'x' }), { text: 'stable', code: 0, loaded: '' })
  t.equal(collector.requests.length, 0)

  const traced = await start('with', {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=abc',
    OTEL_SERVICE_NAME: 'shop-gateway',
  })
  t.match(traced, { text: 'stable', code: 0, loaded: /sdk-trace/ })
  t.same(collector.spans.map(({ name }) => name).toSorted(), ['GET /', 'split candidate'])
  t.match(collector.requests, [{ path: '/v1/traces', headers: { 'x-api-key': 'abc' } }])
  t.match(collector.resources, [{ 'service.name': 'shop-gateway' }])
})
