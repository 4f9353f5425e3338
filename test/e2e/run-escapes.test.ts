// Ways by which a command of `sallyport run` would change what governs it.

import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { giveTo, runInside, runScenario } from '../fixtures/run.ts'

const SET = 'ruleset: set\nowner: a@example.com\nrules:\n  - { id: r, allow: https://api.test }\n'
const TASK = `intent: e2e
owner: { name: o, team: t }
agent: { account: a, instance: a/1 }
sandbox: { id: box }
rules: [set]
environment: test
ceiling: internal
expires: 1h
`

/** Moves mounts' places away by a directory that was opened before, from a namespace in which nothing is mounted there. */
const FROM_BELOW = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def done(result):
    if result != 0: raise OSError(ctypes.get_errno(), 'refused')
here = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
who = os.getuid(), os.getgid()
os.makedirs('/tmp/new/old')
try:
    done(libc.unshare(0x10000000)); print('user namespace')
    open('/proc/self/setgroups', 'w').write('deny')
    open('/proc/self/uid_map', 'w').write(f'0 {who[0]} 1')
    open('/proc/self/gid_map', 'w').write(f'0 {who[1]} 1')
    done(libc.unshare(0x20000)); print('mount namespace')
    done(libc.mount(b'none', b'/', None, 0x44000, None))
    done(libc.mount(b'/tmp/new', b'/tmp/new', None, 0x1000, None))
    os.chdir('/tmp/new')
    done(libc.syscall(155, b'.', b'old'))
    done(libc.umount2(b'/old', 2))
except OSError as error: print(error)
for name in ['rules', 'sallyport.yaml', 'state', 'journal']:
    try: os.rename(name, name + '.away', src_dir_fd=here, dst_dir_fd=here); print('MOVED', name)
    except OSError: pass
`

runScenario(
  t,
  'R44: from a namespace below, in which nothing is mounted, rules and configuration are not moved away either',
  {},
  async (cx, t, who) => {
    cx.file('below.py', FROM_BELOW)
    giveTo(cx, who)
    const { status, stdout, stderr } = await runInside(cx, ['python3', 'below.py'], { who })
    t.equal(status, 0, stderr)
    t.notMatch(stdout, /MOVED/)
    t.notMatch(stdout, /mount namespace/)
    for (const name of ['rules', 'sallyport.yaml', 'state', 'journal'])
      t.ok(existsSync(path.join(cx.directory, name)), name)
  },
)

runScenario(
  t,
  'a symbolic link by which rules or configuration are found is not the command’s to replace: there is no run with one',
  {},
  async (cx, t, who) => {
    const at = (name: string): string => path.join(cx.directory, name)
    for (const name of ['rules', 'state', 'sallyport.yaml']) {
      mkdirSync(at('real'), { recursive: true })
      if (!existsSync(at(name))) mkdirSync(at(name))
      renameSync(at(name), at(`real/${name}`))
      symlinkSync(`real/${name}`, at(name))
      giveTo(cx, who)
      const { status, stdout, stderr } = await runInside(cx, ['echo', 'ran'], { who })
      t.equal(status, 1, name)
      t.equal(stdout, '')
      t.match(stderr, `${name} is a symbolic link that the command could replace: name what it`)
      rmSync(at(name))
      renameSync(at(`real/${name}`), at(name))
    }
    const { stdout } = await runInside(cx, ['echo', 'ran'], { who })
    t.equal(stdout, 'ran\n', 'the files themselves will do')
  },
)

runScenario(
  t,
  'what a rule file links to, the file of the task and roots of upstreams are read-only as well',
  { rules: {}, expires: null },
  async (cx, t, who) => {
    cx.file('shared/set.yaml', SET)
    symlinkSync('../shared/set.yaml', path.join(cx.directory, 'rules/set.yaml'))
    cx.file('task.yaml', TASK)
    giveTo(cx, who)
    const names = ['shared/set.yaml', 'rules/set.yaml', 'task.yaml', 'upstream-ca.pem']
    const script = names
      .flatMap((name) => [`echo >> ${name} && echo CHANGED`, `mv ${name} away && echo MOVED`])
      .concat('mv shared other && echo MOVED', 'echo ended')
    const { stdout, stderr } = await runInside(cx, ['sh', '-c', script.join('\n')], {
      who,
      flags: ['--task', 'task.yaml'],
    })
    t.equal(stdout, 'ended\n', stderr)
  },
)
