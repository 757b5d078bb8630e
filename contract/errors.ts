import { z } from 'zod'

// Every error that Weir answers, with the status it travels under. The codes are stable: clients may branch on them.

const STATUS = {
  // the request itself
  bad_request: 400,
  invalid_json: 400,
  invalid_multipart: 400,
  missing_file: 400,
  empty_file: 400,
  image_undecodable: 400,
  image_too_large: 413,
  body_too_large: 413,
  headers_too_large: 431,
  expectation_failed: 417,
  unsupported_media_type: 415,
  method_not_allowed: 405,
  not_acceptable: 406,
  request_timeout: 408,
  client_closed_request: 499,
  too_many_requests: 429,
  unauthorized: 401,
  forbidden: 403,
  // what it names
  not_found: 404,
  route_not_found: 404,
  variant_not_found: 404,
  model_not_found: 404,
  version_not_found: 404,
  rollout_not_found: 404,
  environment_not_found: 404,
  pipeline_not_found: 404,
  alias_not_found: 404,
  // what it asks for
  invalid_setting: 422,
  invalid_weights: 422,
  invalid_manifest: 422,
  digest_mismatch: 422,
  conflict: 409,
  not_verified: 409,
  gates_not_passed: 409,
  version_exists: 409,
  version_failed: 409,
  version_not_serving: 409,
  precondition_failed: 412,
  invalid_prediction_id: 400,
  prediction_id_expired: 410,
  prediction_id_spent: 409,
  // our own state
  internal: 500,
  not_implemented: 501,
  bad_gateway: 502,
  overloaded: 503,
  not_ready: 503,
  model_refused: 503,
  draining: 503,
  route_closed: 503,
  no_healthy_endpoint: 503,
  registry_unavailable: 503,
  insufficient_storage: 507,
  gateway_timeout: 504,
  deadline_exceeded: 504,
  drill: 500,
} as const

export type ErrorCode = keyof typeof STATUS

export interface WeirErrorOptions extends ErrorOptions {
  /** Seconds after which trying again makes sense; becomes the Retry-After header. */
  readonly retryAfterSeconds?: number
  readonly details?: unknown
}

/** An expected failure with a stable code. Anything else that is thrown is a bug and answers 500 `internal`. */
export class WeirError extends Error {
  readonly code: ErrorCode
  readonly statusCode: number
  readonly retryAfterSeconds: number | undefined
  readonly details: unknown

  constructor(code: ErrorCode, message: string, options: WeirErrorOptions = {}) {
    super(message, options)
    this.name = 'WeirError'
    this.code = code
    this.statusCode = STATUS[code]
    this.retryAfterSeconds = options.retryAfterSeconds
    this.details = options.details
  }
}

/** The body of every error answer (protocol routes v1/v2 have the protocol's own shape). */
export const errorAnswer = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    request_id: z.string().optional(),
    /** Machine-readable additions, such as the current version after a 412. */
    details: z.unknown().optional(),
  }),
})
