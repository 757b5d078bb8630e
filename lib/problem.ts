/** One plain sentence for a person about an error, with its causes; system errors that everybody meets are said in words. */
export function describeProblem(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof AggregateError && error.errors.length > 0) return describeProblem(error.errors[0]) // one try an address
  const { code, path, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string }
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} on ${address} is taken by another program; stop it or choose another port`
    case 'EACCES':
      return port === undefined ? `no permission for ${path}` : `no permission to listen on port ${port}`
    case 'ENOENT':
      return `${path ?? 'a file'} does not exist`
    case 'ENOSPC':
      return `no space left on the disk${path === undefined ? '' : ` for ${path}`}`
    case 'ECONNREFUSED':
      return `nothing answers at ${address}:${port}; is it running?`
    default:
  }
  const cause = error.cause === undefined ? '' : `: ${describeProblem(error.cause)}`
  return `${error.message || code || error.name}${cause}`
}
