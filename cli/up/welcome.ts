import type { UpOptions } from './up.ts'

/** What a person sees when everything is up: where it is, and what to try next. */
export function welcome({
  host,
  port,
  operatorPort,
  controllerPort,
  model,
  models,
  stable,
  candidate,
}: UpOptions): string {
  const gatewayUrl = `http://${host}:${port}`
  return `
Weir is up. ${model} version ${stable} answers; version ${candidate} stands ready and has no traffic yet.

  predictions   ${gatewayUrl}/predict   (/test, /version)
  operator API  http://${host}:${operatorPort}/docs
  controller    http://${host}:${controllerPort}/docs

Try next, in a second terminal in this folder:

  curl -F file=@${models}/${model}/samples/bread/$(ls ${models}/${model}/samples/bread | head -1) ${gatewayUrl}/predict
  npx weir traffic set ${model} stable=80 candidate=20
  npx weir status
  npx weir traffic set ${model} stable=100 candidate=0
  npx weir load --rate 40 --duration 150s &
  npx weir rollout start ${model} --to ${candidate} --wait

Ctrl-C stops everything; npm start continues from here, npm start -- --fresh begins anew.`
}
