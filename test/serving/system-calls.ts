import { readFile } from 'node:fs/promises'

const OPENS = ['open', 'openat', 'openat2', 'creat']
const CHANGES = [
  'rename',
  'renameat',
  'renameat2',
  'unlink',
  'unlinkat',
  'mkdir',
  'mkdirat',
  'link',
  'linkat',
]
const SENDS = ['socket', 'connect', 'sendto', 'sendmsg', 'bind', 'execve']
const LINKS = ['symlink', 'symlinkat', 'truncate', 'ftruncate', 'mknod', 'mknodat']

/** strace for what reaches outside of a process, its threads included, with the time of each call. */
export function straceInto(file: string): string[] {
  const calls = [...OPENS, ...CHANGES, ...LINKS, ...SENDS].map(call => `?${call}`).join(',')
  return ['strace', '-f', '--seccomp-bpf', '-ttt', '-e', `trace=${calls}`, '-e', 'signal=none', '-o', file]
}

/** The calls between two moments (ms since the epoch) that wrote a file, went to the network or started a program. */
export async function reachingOut(file: string, fromMs: number, toMs: number): Promise<string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  return lines.filter(line => {
    const [, seconds, call, rest = ''] = /^\d+\s+([\d.]+) (\w+)\((.*)$/.exec(line) ?? []
    if (call === undefined || Number(seconds) * 1000 < fromMs || Number(seconds) * 1000 > toMs) return false
    return !OPENS.includes(call) || call === 'creat' || /O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE/.test(rest)
  })
}
