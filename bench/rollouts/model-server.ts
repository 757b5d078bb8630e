import { createServer } from 'node:http'

// What `weir serve` keeps running behind each version of the bench: it waits as long as a model would compute, so that two cores
// do for many rollouts at once, and FAILURES and REFUSALS of its answers, each by chance, are 500 and 422. It lies in the folder of
// its version alone, so it imports nothing of the project.

const MEDIAN_MS = 20
/** Of the logarithm. */
const SPREAD = 0.5

const failures = Number(process.env['FAILURES'])
const refusals = Number(process.env['REFUSALS'])
const { MODEL_NAME: model, MODEL_VERSION: version, PORT: port } = process.env
const top = { label: 'Soup', confidence: 0.9 }
const prediction = JSON.stringify({ ...top, class_index: 0, top_k: [top], model, model_version: version })

createServer((request, response) => {
  if (request.url === '/ready') return void response.end()
  request.resume().on('end', () => setTimeout(answer, computingMs()))

  function answer(): void {
    const luck = Math.random()
    const status = luck < failures ? 500 : luck < failures + refusals ? 422 : 200
    const body =
      status === 200 ? prediction : '{"error":{"code":"by_chance","message":"as the bench wants it"}}'
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  }
}).listen(Number(port), '127.0.0.1')

/** Lognormal. */
function computingMs(): number {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())
  return MEDIAN_MS * Math.exp(SPREAD * normal)
}
