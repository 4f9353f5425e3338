// Ways by which a command of `sallyport run` would change what governs it, or reach who started it.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { giveTo, outcomeOf, runInside, runScenario, startRun } from '../fixtures/run.ts'

const CANARY = 'canary-of-what-is-hidden-00002'
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

runScenario(
  t,
  'the password of a proxy above is hidden, and the variable it is read from not there',
  {
    config: `upstream: { proxy: { url: 'http://127.0.0.1:9', auth: { user: u, password: { file: password.secret } } } }`,
    files: { 'password.secret': CANARY },
  },
  async (cx, t, who) => {
    const run = async (): Promise<string> => {
      giveTo(cx, who)
      const words = ['sh', '-c', 'cat password.secret; echo "of variables:$LC_PASSWORD"']
      const { stdout } = await runInside(cx, words, { who, env: { LC_PASSWORD: CANARY } })
      return stdout
    }
    t.equal(await run(), `of variables:${CANARY}\n`, 'a variable that is no secret is passed on')
    const written = readFileSync(cx.configFile, 'utf8')
    cx.file('sallyport.yaml', written.replace('file: password.secret', 'env: LC_PASSWORD'))
    t.equal(await run(), `${CANARY}of variables:\n`, 'and a file that is none is seen')
  },
)

runScenario(
  t,
  'without a terminal, a signal to its own group reaches nobody outside, and there is no terminal to type into',
  {},
  async (cx, t, who) => {
    const first = startRun(cx, ['true'], { who })
    await outcomeOf(first)
    const words = first.spawnargs.slice(0, -1)
    const inside = ['sh', '-c', '(: < /dev/tty) 2>&- && echo TERMINAL; kill -9 0; echo ALIVE']
    const after = ['-w', 'sh', '-c', '"$@"; echo after $?', 'sh', ...words, ...inside]
    const child = spawn('setsid', after, {
      cwd: cx.directory,
      env: { PATH: process.env['PATH'] ?? '', HOME: path.join(cx.directory, 'home') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout, stderr } = await outcomeOf(child)
    t.equal(stdout, 'after 137\n', stderr)
  },
)

runScenario(
  t,
  'what another mount shows of the same directories is hidden and read-only as well',
  {},
  async (cx, t, who) => {
    const first = startRun(cx, ['true'], { who })
    await outcomeOf(first)
    cx.file('other/.keep', '')
    giveTo(cx, who)
    const other = path.join(cx.directory, 'other')
    const script = `ls other/state other/journal; echo x >> other/sallyport.yaml; echo x > other/rules/x;
mv other/rules other/away; echo seen:$(cat other/work)`
    const mounted = 'mount --rbind . other && exec "$@"'
    const words = [...first.spawnargs.slice(0, -1), 'sh', '-c', script]
    cx.file('work', 'mine')
    const child = spawn('unshare', ['-m', 'sh', '-c', mounted, 'sh', ...words], {
      cwd: cx.directory,
      env: { PATH: process.env['PATH'] ?? '', HOME: path.join(cx.directory, 'home') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { stdout, stderr } = await outcomeOf(child)
    t.equal(stdout, 'other/journal:\n\nother/state:\nseen:mine\n', stderr)
    t.equal(existsSync(path.join(other, 'rules')), false, 'it was mounted for the run alone')
    t.notOk(existsSync(path.join(cx.directory, 'rules/x')))
    t.ok(existsSync(path.join(cx.directory, 'rules')))
  },
)
