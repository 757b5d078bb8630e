import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'

export interface Peer {
  readonly name: string
  readonly url: string
}

const PORTS = {
  upstream: 19_301,
  weir: 19_302,
  operator: 19_303,
  nginx: 19_304,
  bare: 19_305,
  haproxy: 19_306,
}
const UPSTREAM = fileURLToPath(new URL('./upstream.ts', import.meta.url))
const BARE_PROXY = fileURLToPath(new URL('./bare-proxy.ts', import.meta.url))
const WEIR = fileURLToPath(new URL('../../gateway/main.ts', import.meta.url))
/** util-linux: holds a process to a core. */
const PIN = 'taskset'
const START_LIMIT_MS = 30_000

/** Starts an upstream and every proxy that is installed, each held to one core. */
export async function startPeers(): Promise<{ peers: Peer[]; stop: () => Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  const children: ChildProcess[] = []
  const start = (core: number, command: string, args: readonly string[]) =>
    void children.push(spawn(PIN, ['-c', String(core), command, ...args], { stdio: 'ignore' }))
  const upstream = `127.0.0.1:${PORTS.upstream}`
  start(1, process.execPath, [UPSTREAM, String(PORTS.upstream)])
  start(0, process.execPath, [WEIR, ...weirOptions(dir, `http://${upstream}`)])
  start(0, process.execPath, [BARE_PROXY, String(PORTS.bare), `http://${upstream}`])
  const names: (keyof typeof PORTS)[] = ['weir', 'bare']
  if (isInstalled('nginx')) {
    start(0, 'nginx', ['-c', write(dir, 'nginx.conf', nginxConfig(dir, upstream)), '-g', 'daemon off;'])
    names.push('nginx')
  }
  if (isInstalled('haproxy')) {
    start(0, 'haproxy', ['-f', write(dir, 'haproxy.cfg', haproxyConfig(upstream))])
    names.push('haproxy')
  }
  const peers = names.map(name => ({ name, url: `http://127.0.0.1:${PORTS[name]}` }))
  await Promise.all(peers.map(({ url }) => answers(`${url}/x`)))
  return { peers, stop: () => stopAll(children) }
}

function write(dir: string, name: string, text: string): string {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Every feature on: metrics, sticky header, fallback armed, prediction contract on /predict. */
function weirOptions(dir: string, upstream: string): string[] {
  const route = {
    name: 'food11',
    variants: { stable: { endpoints: [upstream] }, candidate: { endpoints: [upstream] } },
    weights: { stable: 90, candidate: 10 },
    sticky: { header: 'x-user-id' },
    fallback: { to: 'stable' },
    idempotent: true,
  }
  const config = write(dir, 'gateway.yaml', stringify({ routes: [route] }))
  const ports = ['--port', String(PORTS.weir), '--operator-port', String(PORTS.operator)]
  return ['--config', config, '--state', join(dir, 'state'), '--workers', '1', ...ports]
}

function nginxConfig(dir: string, upstream: string): string {
  return `worker_processes 1; pid ${dir}/nginx.pid; error_log /dev/null; events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; client_max_body_size 10m; client_body_buffer_size 256k;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy;
  split_clients "$http_x_user_id" $variant { 90% stable; * candidate; }
  upstream stable { server ${upstream}; keepalive 128; keepalive_requests 100000000; }
  upstream candidate { server ${upstream}; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${PORTS.nginx}; location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://$variant; } }
}
`
}

function haproxyConfig(upstream: string): string {
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:${PORTS.haproxy}
  default_backend variants
backend variants
  server stable ${upstream} weight 90
  server candidate ${upstream} weight 10
`
}

async function answers(url: string): Promise<void> {
  const until = performance.now() + START_LIMIT_MS
  while (performance.now() < until) {
    const response = await fetch(url, { method: 'POST', body: 'x' }).catch(() => undefined) // not up yet
    if (response?.ok) return
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new Error(`${url} does not answer`)
}

async function stopAll(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(child => {
      const ended = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGTERM')
      return ended
    }),
  )
}
