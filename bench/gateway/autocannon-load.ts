import autocannon from 'autocannon'

// autocannon in a process of its own, to be held to a core of its own: node bench/gateway/autocannon-load.ts SETTINGS

interface Settings {
  readonly url: string
  readonly bytes: number
  readonly connections: number
  readonly seconds: number
}

const { url, bytes, connections, seconds } = JSON.parse(process.argv[2] ?? '{}') as Settings
let users = 0
const result = await autocannon({
  url,
  method: 'POST',
  body: 'x'.repeat(bytes),
  connections,
  duration: seconds,
  setupClient: client =>
    client.setHeaders({ 'content-type': 'application/octet-stream', 'x-user-id': `user-${++users}` }),
})
const { latency, errors, non2xx, duration } = result
const answers = {
  requests: result['2xx'] + non2xx,
  seconds: duration,
  errors: errors + non2xx,
  p50Ms: latency.p50, // whole milliseconds
  p99Ms: latency.p99,
}
process.stdout.write(JSON.stringify(answers))
