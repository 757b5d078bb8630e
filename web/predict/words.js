// What the page says. Free of the page itself, so that it can be tried without a browser.

/** 0.934 → "93.4 %" */
export function inPercent(share) {
  return `${(share * 100).toFixed(1)} %`
}

const SAYINGS = {
  image_undecodable: 'This file is not a photo that can be read, or it is damaged. Try another one.',
  unsupported_media_type: 'This kind of file is not taken here. Try a JPEG or PNG photo.',
  empty_file: 'This file is empty.',
  image_too_large: 'This photo has too many pixels. Try a smaller one.',
  body_too_large: 'This photo is too large a file. Try a smaller one.',
  request_timeout:
    'The photo took too long to arrive. Try again on a faster connection, or with a smaller photo.',
  gateway_timeout: 'The answer took too long. Try again.',
  deadline_exceeded: 'The answer took too long. Try again.',
  prediction_id_expired: 'This answer is too old to be reported on.',
  prediction_id_spent: 'This answer was reported on before.',
  invalid_prediction_id: 'This answer cannot be reported on any more.',
}

/**
 * Why there is no answer, in a sentence for whoever sent the photo. `status` 0: nobody answered. `retryAfter` is the header's text,
 * seconds or null.
 */
export function describeFailure({ status, code, message, retryAfter }) {
  if (status === 0) return 'The service cannot be reached. Check your connection and try again.'
  const saying = SAYINGS[code]
  if (saying !== undefined) return saying
  if (status === 429 || status === 503)
    return `The service is interrupted or busy at the moment. Try again ${inAWhile(retryAfter)}.`
  if (status >= 500)
    return 'Something went wrong on our side. Try again; if it goes on, tell whoever runs this service.'
  return message ?? `The service refused this (${status}).`
}

function inAWhile(retryAfter) {
  const seconds = Number.parseInt(retryAfter ?? '', 10)
  if (!(seconds > 0)) return 'in a moment'
  return seconds === 1 ? 'in a second' : `in ${seconds} seconds`
}
