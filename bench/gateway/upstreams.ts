import { fileURLToPath } from 'node:url'
import { systemPort, untilAnswering, writeConfig, type Bench } from './bench.ts'
import { nginxHead } from './nginx.ts'
import { isInstalled, LOAD_CORE } from './processes.ts'
import { PREDICTION } from './prediction.ts'

const NODE_UPSTREAM = fileURLToPath(new URL('./upstream.ts', import.meta.url))

/** The model server that every proxy asks: nginx where there is one, because one in Node is slower than the proxies. */
export async function startUpstream(bench: Omit<Bench, 'upstream'>): Promise<string> {
  const port = await systemPort()
  const url = `http://127.0.0.1:${port}`
  if (isInstalled('nginx')) {
    const config = writeConfig({ ...bench, upstream: url }, 'upstream.conf', nginxUpstream(bench.dir, port))
    bench.processes.start(LOAD_CORE, 'nginx', ['-c', config, '-g', 'daemon off;'])
  } else bench.processes.start(LOAD_CORE, process.execPath, [NODE_UPSTREAM, String(port)])
  await untilAnswering(`${url}/x`)
  return url
}

function nginxUpstream(dir: string, port: number): string {
  return `${nginxHead(dir, 'upstream')}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { default_type application/json; return 200 '${PREDICTION}'; }
  }
}
`
}
