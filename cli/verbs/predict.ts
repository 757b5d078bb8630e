import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import { WeirError } from '../../contract/errors.ts'
import { print, printJson } from '../connect.ts'

interface PredictOptions {
  readonly url: string
  readonly variant?: string
  readonly user?: string
  readonly json: boolean
}

export function addPredict(program: Command): void {
  program
    .command('predict <photo>')
    .description('send a photo through the gateway')
    .option('--url <url>', 'public address of the gateway', 'http://127.0.0.1:8080')
    .option('--variant <name>', 'ask for this variant')
    .option('--user <id>', 'sent as x-user-id, which pins the variant')
    .option('--json', 'print JSON', false)
    .action(predict)
}

async function predict(photo: string, { url, variant, user, json }: PredictOptions): Promise<void> {
  const form = new FormData()
  form.append('file', new Blob([await readFile(photo)]), basename(photo))
  const headers = { ...(variant && { 'x-weir-variant': variant }), ...(user && { 'x-user-id': user }) }
  const response = await fetch(`${url}/predict`, {
    method: 'POST',
    body: form,
    headers,
    signal: AbortSignal.timeout(30_000),
  })
  const answer = (await response.json()) as Record<string, unknown>
  if (!response.ok) {
    const { message } = (answer['error'] ?? {}) as { message?: string }
    throw new WeirError('bad_request', message ?? `answered ${response.status}`)
  }
  if (json) return printJson({ ...answer, variant: response.headers.get('x-weir-variant') })
  const percent = (Number(answer['confidence']) * 100).toFixed(1)
  print(
    `${String(answer['label'])} (${percent} %), ${String(answer['model'])} version ${String(answer['model_version'])}, ${response.headers.get('x-weir-variant')}`,
  )
}
