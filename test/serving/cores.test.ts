import { spawnSync } from 'node:child_process'
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t } from 'tap'
import { usableCores } from '../../serving/cores.ts'

const V2_MOUNT = '30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n'
const V1_MOUNTS =
  '33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n' +
  '32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n'

t.test('a quota of the own cgroup counts (version 2)', async t => {
  const root = t.testdir({
    proc: { self: { cgroup: '0::/pod/app\n', mountinfo: V2_MOUNT } },
    sys: { fs: { cgroup: { pod: { app: { 'cpu.max': '250000 100000\n' } } } } },
  })
  t.equal(usableCores({ scheduled: 16, root }), 2)
  t.equal(usableCores({ scheduled: 1, root }), 1)
})

t.test('the smallest quota from the own cgroup upwards counts, and "max" is none', async t => {
  const root = t.testdir({
    proc: { self: { cgroup: '0::/pod/app\n', mountinfo: V2_MOUNT } },
    sys: {
      fs: {
        cgroup: {
          'cpu.max': 'max 100000\n',
          pod: { 'cpu.max': '300000 100000', app: { 'cpu.max': 'max 100000' } },
        },
      },
    },
  })
  t.equal(usableCores({ scheduled: 16, root }), 3)
})

t.test('less than one core is one thread', async t => {
  const root = t.testdir({
    proc: { self: { cgroup: '0::/\n', mountinfo: V2_MOUNT } },
    sys: { fs: { cgroup: { 'cpu.max': '20000 100000\n' } } },
  })
  t.equal(usableCores({ scheduled: 16, root }), 1)
})

t.test('a quota of version 1 counts, and -1 is none', async t => {
  const root = t.testdir({
    proc: { self: { cgroup: '2:cpuacct:/\n1:cpu:/app\n', mountinfo: V1_MOUNTS } },
    sys: {
      fs: {
        cgroup: {
          cpu: {
            'cpu.cfs_quota_us': '-1\n',
            'cpu.cfs_period_us': '100000\n',
            app: { 'cpu.cfs_quota_us': '400000\n', 'cpu.cfs_period_us': '100000\n' },
          },
        },
      },
    },
  })
  t.equal(usableCores({ scheduled: 16, root }), 4)
})

t.test('a container that sees the host’s path finds its cgroup at the mount', async t => {
  const root = t.testdir({
    proc: {
      self: {
        cgroup: '4:cpu,cpuacct:/docker/abc\n',
        mountinfo: '32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n',
      },
    },
    sys: {
      fs: { cgroup: { 'cpu,cpuacct': { 'cpu.cfs_quota_us': '200000', 'cpu.cfs_period_us': '100000' } } },
    },
  })
  t.equal(usableCores({ scheduled: 16, root }), 2)
})

t.test('without cgroups it is what the scheduler says', async t => {
  t.equal(usableCores({ scheduled: 6, root: t.testdir({}) }), 6)
})

t.test('a real quota of one core gives one worker', { skip: missingCgroup() }, async t => {
  const folder = realCgroup()
  t.teardown(() => rmdirSync(folder))
  const script = `
    import { usableCores } from './serving/cores.ts'
    process.stdout.write(String(usableCores({ scheduled: 8 })))`
  const shell = 'echo $$ > "$0/cgroup.procs" && exec "$1" --input-type=module-typescript -e "$2"'
  const { stdout, stderr } = spawnSync('sh', ['-c', shell, folder, process.execPath, script], {
    encoding: 'utf8',
  })
  t.equal(stdout, '1', stderr)
})

/** A cgroup of its own with a quota of one core. Throws where this user may not make one. */
function realCgroup(): string {
  const folder = join('/sys/fs/cgroup/cpu', `weir-test-${process.pid}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'cpu.cfs_quota_us'), '100000')
  return folder
}

function missingCgroup(): string | false {
  try {
    rmdirSync(realCgroup())
    return false
  } catch {
    return 'needs to be allowed to make a cgroup (version 1)'
  }
}
