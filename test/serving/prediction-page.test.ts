import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import t from 'tap'
import { plain, RED } from './photos.ts'
import { writeModelFolder } from './model-folder.ts'
import { postBytes, startServer } from './start-server.ts'

interface Words {
  inPercent(share: number): string
  describeFailure(failure: {
    status: number
    code?: string
    message?: string
    retryAfter?: string | null
  }): string
}

t.test('the page is served at / with everything that it names, each under a strict policy', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const page = await fetch(`${url}/`)
  const html = await page.text()
  t.equal(page.status, 200)
  t.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) => path)
  t.ok(named.length >= 3)
  const imported = new Set<string>()
  for (const path of named) {
    t.notMatch(path, /^(\/|[a-z]+:)/, 'relative: it works under a prefix, and nothing comes from elsewhere')
    const asset = await fetch(new URL(path, `${url}/`))
    t.equal(asset.status, 200, path)
    const text = await asset.text()
    for (const [, module = ''] of text.matchAll(/from '\.\/([^']+)'/g)) imported.add(module)
  }
  for (const module of imported) {
    const answer = await fetch(`${url}/page/${module}`)
    t.equal(answer.headers.get('content-type'), 'text/javascript; charset=utf-8', module)
    t.ok((await answer.text()).length > 0)
  }
  t.equal(named.length + imported.size + 1, (await readdir('web/predict')).length, 'and every file is used')
  const policy = page.headers.get('content-security-policy') ?? ''
  t.match(policy, /^default-src 'none';/)
  t.match(policy, /frame-ancestors 'none'/)
  t.notMatch(policy, /unsafe|\*|https?:|data:/)
  t.equal(page.headers.get('x-content-type-options'), 'nosniff')
  t.notMatch(
    html,
    /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=/,
    'nothing inline, which the policy forbids',
  )
})

t.test('a browser that knows the page is told that it is still the same', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const etag = (await fetch(`${url}/`)).headers.get('etag') ?? ''
  const conditional = (tag: string) => statusOf(`${url}/`, { 'if-none-match': tag })
  t.equal(await conditional(etag), 304)
  t.equal(await conditional(`"other", W/${etag}`), 304)
  t.equal(await conditional('"other"'), 200)
  t.equal((await fetch(`${url}/`, { method: 'HEAD' })).status, 200)
})

t.test('the page is there before the model is, and is no part of the API documentation', async t => {
  const { url } = await startServer(t, 'does-not-exist.onnx')
  t.equal((await fetch(`${url}/readyz`)).status, 503)
  t.equal((await fetch(`${url}/`)).status, 200)
  const { paths } = (await (await fetch(`${url}/docs/json`)).json()) as { paths: object }
  t.ok('/predict' in paths)
  t.notOk('/' in paths)
})

t.test('what the page sends is answered with what it shows', async t => {
  const { url } = await startServer(t, await writeModelFolder(t.testdir()))
  const photo = await plain(RED).png().toBuffer()
  const { body } = await postBytes(`${url}/predict`, photo, 'image/png')
  for (const shown of ['label', 'confidence', 'top_k', 'model', 'model_version']) t.ok(shown in body, shown)
})

t.test('errors are told in words, and how long an interruption lasts', async t => {
  const words = (await import(new URL('../../web/predict/words.js', import.meta.url).href)) as Words
  const { describeFailure, inPercent } = words
  t.equal(inPercent(0.93449), '93.4 %')
  t.match(describeFailure({ status: 0 }), /cannot be reached/)
  t.match(describeFailure({ status: 503, code: 'route_closed', retryAfter: '5' }), /Try again in 5 seconds\./)
  t.match(describeFailure({ status: 503, code: 'overloaded', retryAfter: null }), /Try again in a moment\./)
  t.match(describeFailure({ status: 400, code: 'image_undecodable', message: 'x' }), /not a photo/)
  t.match(describeFailure({ status: 502, code: 'bad_gateway', message: 'x' }), /went wrong on our side/)
  t.equal(describeFailure({ status: 418, code: 'new_code', message: 'the reason' }), 'the reason')
  t.match(describeFailure({ status: 418 }), /418/)
})

/** fetch has a cache's mind about conditional requests of its own. */
function statusOf(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, response => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
}
