// The requests of the page. Addresses are relative, so that it works under a prefix too.

/**
 * What became of a request: `{ ok: true, body, headers }`, or `{ ok: false, status, code, message, retryAfter, headers }`; status 0
 * and no headers where nobody answered.
 */
async function ask(path, init) {
  let response
  try {
    response = await fetch(path, { cache: 'no-store', ...init })
  } catch {
    return { ok: false, status: 0, headers: new Headers() }
  }
  const { headers, status } = response
  const body = await response.json().catch(() => undefined)
  if (response.ok && body !== undefined) return { ok: true, body, headers }
  const { code, message } = body?.error ?? {}
  return { ok: false, status, code, message, retryAfter: headers.get('retry-after'), headers }
}

export function predict(photo) {
  const body = new FormData()
  body.append('file', photo)
  return ask('predict', { method: 'POST', body })
}

export function reportLabel(predictionId, label) {
  const body = JSON.stringify({ prediction_id: predictionId, label })
  return ask('feedback', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
}

/** Any answer carries the notice of an interruption to come. */
export function version() {
  return ask('version')
}
