import { fileURLToPath } from 'node:url'

/**
 * Where Node keeps compiled code, types already stripped. Stripping takes a thread half a second and 30 MB when it starts;
 * a program or thread started with this environment does it once per version of the code. Where the folder cannot be
 * written, Node goes on without.
 */
export const COMPILE_CACHE: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../node_modules/.cache/weir', import.meta.url)),
}
