import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * How many processes the kernel has killed so far because memory ran out: in our cgroup where it tells (versions 2 and 1), else
 * on the machine. Undefined where no system tells. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
 */
export function countOomKills(root = '/'): number | undefined {
  const [, own = '/'] = /^0::(\S+)$/m.exec(read(join(root, 'proc/self/cgroup'))) ?? []
  const places = [
    join('sys/fs/cgroup', own, 'memory.events'),
    'sys/fs/cgroup/memory.events',
    'sys/fs/cgroup/memory/memory.oom_control',
    'proc/vmstat',
  ]
  for (const place of places) {
    const [, kills] = /^oom_kill (\d+)$/m.exec(read(join(root, place))) ?? []
    if (kills !== undefined) return Number(kills)
  }
  return undefined
}

/** Where there is no cgroup, or none of this version, there is no such file. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
