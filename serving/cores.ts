import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'

export interface CoresOptions {
  /** What the scheduler may run this process on: affinity and cpusets are counted already. */
  readonly scheduled?: number
  /** Where /proc and /sys are. */
  readonly root?: string
}

/**
 * How many cores this process may keep busy. A container's CPU limit is a quota of its cgroup or of one above it, and threads
 * beyond it are throttled all at once, the HTTP thread with them. libuv counts quotas of cgroups version 2 weighted by their
 * shares, and of version 1 only under one name of the mount, so they are read here.
 */
export function usableCores({ scheduled = availableParallelism(), root = '/' }: CoresOptions = {}): number {
  const quotas = cgroupFolders(root).flatMap(folder => {
    const quota = quotaOf(folder)
    return quota === undefined ? [] : [quota]
  })
  return Math.max(1, Math.floor(Math.min(scheduled, ...quotas)))
}

/** The folders of the cgroups that this process is in, from its own up to the mount: each may set a quota. */
function cgroupFolders(root: string): string[] {
  const memberships = (read(join(root, 'proc/self/cgroup')) ?? '').trim().split('\n')
  const mounts = cgroupMounts(read(join(root, 'proc/self/mountinfo')) ?? '')
  return memberships.flatMap(line => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    const version = controllers === '' ? 'cgroup2' : 'cgroup'
    const mount = mounts.find(
      ({ type, options }) =>
        type === version && (version === 'cgroup2' || (isCpu(controllers) && isCpu(options))),
    )
    return mount ? upwards(join(root, mount.point), within(path, mount.root)) : []
  })
}

const isCpu = (names: string) => names.split(',').includes('cpu')

interface CgroupMount {
  readonly root: string
  readonly point: string
  readonly type: string
  readonly options: string
}

/** https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html */
function cgroupMounts(mountinfo: string): CgroupMount[] {
  return mountinfo.split('\n').flatMap(line => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root, point] = before.split(' ')
    const [type, , options] = after.split(' ')
    if (root === undefined || point === undefined || !type?.startsWith('cgroup')) return []
    return [{ root, point, type, options: options ?? '' }]
  })
}

/** A container sees the host's path of its cgroup, and mounted only what is below it. */
function within(path: string, mountRoot: string): string {
  if (mountRoot === '/') return path
  return path.startsWith(mountRoot) ? path.slice(mountRoot.length) : ''
}

function upwards(mountPoint: string, path: string): string[] {
  const folders: string[] = []
  for (let folder = join(mountPoint, path); folder.length >= mountPoint.length; folder = dirname(folder)) {
    folders.push(folder.replace(/\/$/, ''))
    if (dirname(folder) === folder) break
  }
  return folders
}

/** In cores; undefined where there is no limit. */
function quotaOf(folder: string): number | undefined {
  const [quota, period] =
    read(join(folder, 'cpu.max'))?.split(/\s+/) ??
    ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map(file => read(join(folder, file)))
  const cores = Number(quota) / Number(period) // "max" is no number, and -1 is no limit
  return Number.isFinite(cores) && cores > 0 ? cores : undefined
}

/** Where there is no cgroup, or none of this version, there is no such file. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
