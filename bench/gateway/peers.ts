import { fileURLToPath } from 'node:url'
import { systemPort, untilAnswering, writeConfig, type Bench } from './bench.ts'
import { nginxHead } from './nginx.ts'
import { PACER } from './pace.ts'
import { isInstalled, PROXY_CORE } from './processes.ts'

export interface Proxy {
  readonly name: string
  readonly url: string
  readonly pid: number
}

/** Programs that the bench wants and npm does not bring. */
export const WANTED_PROGRAMS = ['wrk', 'nginx', 'haproxy', 'taskset', PACER] as const

/** Every peer that is installed, with a variant at 90 percent and one at 10 where it can, on the core of ours. */
export async function startPeers(bench: Bench): Promise<Proxy[]> {
  const proxies: Proxy[] = []
  if (isInstalled('nginx'))
    proxies.push(
      await start(bench, 'nginx', port => {
        const config = writeConfig(bench, 'nginx.conf', nginxConfig(bench, port))
        return ['nginx', '-c', config, '-g', 'daemon off;']
      }),
    )
  if (isInstalled('haproxy'))
    proxies.push(
      await start(bench, 'haproxy', port => {
        return ['haproxy', '-f', writeConfig(bench, 'haproxy.cfg', haproxyConfig(bench, port))]
      }),
    )
  for (const name of ['bare', 'reply-from', 'http-proxy'])
    proxies.push(await start(bench, name, port => nodeProxy(name, port, bench.upstream)))
  return proxies
}

export async function stopProxies(bench: Bench, proxies: readonly Proxy[]): Promise<void> {
  await bench.processes.stop(proxies.map(({ pid }) => pid))
}

async function start(bench: Bench, name: string, commandFor: (port: number) => string[]): Promise<Proxy> {
  const port = await systemPort()
  const [command = '', ...args] = commandFor(port)
  const pid = bench.processes.start(PROXY_CORE, command, args)
  const url = `http://127.0.0.1:${port}`
  await untilAnswering(`${url}/x`)
  return { name, url, pid }
}

const NODE_PROXIES: Readonly<Record<string, URL>> = {
  bare: new URL('./bare-proxy.ts', import.meta.url),
  'reply-from': new URL('./reply-from-proxy.ts', import.meta.url),
  'http-proxy': new URL('./http-proxy-proxy.ts', import.meta.url),
}

function nodeProxy(name: string, port: number, upstream: string): string[] {
  return [process.execPath, fileURLToPath(NODE_PROXIES[name] ?? ''), String(port), upstream]
}

function nginxConfig({ dir, upstream }: Bench, port: number): string {
  const { host } = new URL(upstream)
  return `${nginxHead(dir, 'nginx')}
  split_clients "$http_x_user_id" $variant { 90% stable; * candidate; }
  upstream stable { server ${host}; keepalive 128; keepalive_requests 100000000; }
  upstream candidate { server ${host}; keepalive 128; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://$variant; }
  }
}
`
}

function haproxyConfig({ upstream }: Bench, port: number): string {
  const { host } = new URL(upstream)
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:${port}
  default_backend variants
backend variants
  server stable ${host} weight 90
  server candidate ${host} weight 10
`
}
