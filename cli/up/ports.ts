import { tryPort } from '../../lib/ports.ts'

/** Throws the system's own error for the first port that cannot be listened on. */
export async function requireFreePorts(host: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const error = await tryPort(host, port)
    if (error) throw error
  }
}
