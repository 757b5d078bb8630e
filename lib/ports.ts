import { createServer } from 'node:net'

/** The first port from `first` on that can be listened on and is not in `taken`. Throws when 1,000 in a row cannot. */
export async function freePort(
  host: string,
  first: number,
  taken: ReadonlySet<number> = new Set(),
): Promise<number> {
  for (let port = first; port < first + 1000 && port < 65_536; port++) {
    if (!taken.has(port) && (await tryPort(host, port)) === undefined) return port
  }
  throw new Error(`no free port from ${first} on at ${host}`)
}

/** Tries to listen and lets go at once: undefined if that worked, else the system's error. */
export function tryPort(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
