import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { sha256 } from '../lib/hash.ts'

const FOLDER = new URL('../web/predict/', import.meta.url)

/** By path, which file of the folder it is. The page names them relative to itself, so it works under a prefix, too. */
const FILES: Readonly<Record<string, { readonly file: string; readonly type: string }>> = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/page/predict.css': { file: 'predict.css', type: 'text/css; charset=utf-8' },
  '/page/predict.js': { file: 'predict.js', type: 'text/javascript; charset=utf-8' },
  '/page/service.js': { file: 'service.js', type: 'text/javascript; charset=utf-8' },
  '/page/words.js': { file: 'words.js', type: 'text/javascript; charset=utf-8' },
  '/page/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
}

/** Nothing from elsewhere, nothing inline, in nobody's frame. `blob:` is the chosen photo, which is shown. */
const SECURITY = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}

/** The page at `/` on which people try the model. Its files are read once, here. */
export async function addPredictionPage(app: FastifyInstance): Promise<void> {
  for (const [path, { file, type }] of Object.entries(FILES)) {
    const content = await readFile(new URL(file, FOLDER))
    const etag = `"${sha256(content).slice(0, 32)}"`
    app.get(path, { schema: { hide: true } }, async (request, reply) => {
      // another version of Weir may answer the next time: browsers ask whether it is still the same
      reply.headers({ ...SECURITY, etag, 'cache-control': 'no-cache' })
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
      return reply.type(type).send(content)
    })
  }
}

/** RFC 9110 13.1.2: a list of tags, compared weakly. */
function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  const known = (ifNoneMatch ?? '').split(',').map(tag => tag.trim().replace(/^W\//, ''))
  return known.includes(etag) || known.includes('*')
}
