import { describeProblem } from '../../lib/problem.ts'

export interface FetchLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

export type FetchedText =
  | { readonly kind: 'text'; readonly text: string; readonly headers: Headers }
  | { readonly kind: 'failed'; readonly reason: string }

/** GETs a text. Whatever goes wrong on the way is an outcome with a sentence for the operator, not an error. */
export async function fetchText(url: URL, { timeoutMs, maxBytes }: FetchLimits): Promise<FetchedText> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
    const text = await readLimited(response, maxBytes)
    if (text === undefined) return failed(url, `answered more than ${maxBytes} bytes`)
    if (!response.ok) return failed(url, `answered ${response.status} ${firstLine(text)}`)
    return { kind: 'text', text, headers: response.headers }
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError'
    return failed(url, timedOut ? `did not answer within ${timeoutMs} ms` : describeProblem(error))
  }
}

/** The whole body, undefined when it is longer than `maxBytes`. */
async function readLimited(response: Response, maxBytes: number): Promise<string | undefined> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) return undefined // leaving the loop cancels the body
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function firstLine(text: string): string {
  return text.slice(0, 200).split('\n')[0] ?? ''
}

function failed(url: URL, what: string): FetchedText {
  return { kind: 'failed', reason: `${url.origin}: ${what}`.trim() }
}
