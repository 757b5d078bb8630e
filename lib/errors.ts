/** The wire form of an error: `{"error":{"code","message","request_id"}}`; never a stack, never a part of the input. */
export function errorBody(
  code: string,
  message: string,
  extra: { requestId?: string | undefined; details?: unknown } = {},
): object {
  return {
    error: {
      code,
      message,
      ...(extra.requestId === undefined ? {} : { request_id: extra.requestId }),
      ...(extra.details === undefined ? {} : { details: extra.details }),
    },
  }
}
