import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { contentDigest, sha256 } from '../../lib/hash.ts'

export interface CustomFolder {
  readonly files?: Readonly<Record<string, string>>
  readonly manifest?: Readonly<Record<string, unknown>>
  /** Changes to `server`. */
  readonly server?: Readonly<Record<string, unknown>>
}

/** Writes the folder of a version that names a command, and returns its path. */
export async function writeCustomFolder(
  parent: string,
  { files = { 'server.mjs': NODE_SERVER }, manifest = {}, server = {} }: CustomFolder = {},
): Promise<string> {
  const folder = join(parent, 'custom', '1')
  await mkdir(folder, { recursive: true })
  const json = {
    name: 'custom',
    version: '1',
    server: {
      command: ['node', 'server.mjs'],
      routes: { live: '/health', ready: '/health', predict: '/score' },
      files: Object.entries(files).map(([file, text]) => ({ file, sha256: sha256(text) })),
      ...server,
    },
    ...manifest,
  }
  await writeFile(
    join(folder, 'model.json'),
    JSON.stringify({ digest: contentDigest(new Uint8Array(), json), ...json }),
  )
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text)
  return folder
}

/**
 * A server as a team may have one, in Node: /score says what it was given, /crash ends it, /sick makes it unhealthy, /unready
 * makes it not ready, /grow takes 200 MB.
 */
const NODE_SERVER = `
import { createServer } from 'node:http'
let health = 200, ready = 200, held
createServer((request, response) => {
  const say = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-own': 'yes' })
    response.end(JSON.stringify(body))
  }
  const { MODEL_BASE_PATH, MODEL_NAME, MODEL_VERSION, EXTRA } = process.env
  if (request.url === '/health') return say(health, {})
  if (request.url === '/ready') return say(ready, {})
  if (request.url !== '/score') return say(404, {})
  const chunks = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString('latin1')
    if (text === 'crash') process.exit(3)
    if (text === 'sick') health = 500
    if (text === 'unready') ready = 503
    if (text === 'grow') held = Buffer.alloc(200e6, 1)
    if (text === 'slow') return
    say(text === 'bad' ? 422 : 200, {
      label: 'Soup', class_index: 0, confidence: 1, top_k: [{ label: 'Soup', confidence: 1 }],
      model: MODEL_NAME, model_version: MODEL_VERSION,
      pid: process.pid, bytes: text.length, type: request.headers['content-type'], MODEL_BASE_PATH, EXTRA,
    })
  })
}).listen(Number(process.env.PORT), '127.0.0.1')
`

/** The same idea in Python, which is told its port on the command line. */
export const PYTHON_SERVER = `
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def do_GET(self):
        self.answer({"model": os.environ["MODEL_NAME"]})
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer({"predictions": [2.5], "files": sorted(os.listdir(os.environ["MODEL_BASE_PATH"]))})
    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
`
