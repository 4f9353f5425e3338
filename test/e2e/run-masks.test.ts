// What a command of `sallyport run` sees of the machine: nothing that is secret, nothing that leads out, nothing of the
// sidecar's own that it could change.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t from 'tap'

import { giveTo, outcomeOf, runInside, runScenario, startRun, type Ran } from '../fixtures/run.ts'
import { freePort, type Scenario } from '../fixtures/scenario.ts'

const CANARY = 'canary-of-what-is-hidden-00001'

/** Tries things inside; each line of the output is a name and what came of it. */
async function tryInside(
  cx: Scenario,
  script: string,
  who: 'root' | 'user',
): Promise<Map<string, string>> {
  cx.file('try.py', PRELUDE + script)
  const ran: Ran = await runInside(cx, ['python3', 'try.py'], { who })
  if (ran.status !== 0) throw new Error(ran.stderr)
  return new Map(
    ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('\t')), line.slice(line.indexOf('\t') + 1)]),
  )
}

const PRELUDE = `
import ctypes, os, socket, subprocess, sys
def attempt(name, act):
    try: print(name, act(), sep='\\t')
    except OSError as error: print(name, 'refused', sep='\\t')
def read(path): return open(path, 'rb').read().decode('latin1')
def connect(path):
    s = socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect(path); return 'open'
def dial(host, port):
    s = socket.create_connection((host, port), 3); s.close(); return 'open'
def code(*words):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
`

const PERSONAL = [
  '.ssh/id_ed25519',
  '.aws/credentials',
  '.config/gh/hosts.yml',
  '.config/gcloud/credentials.db',
  '.netrc',
  '.git-credentials',
  '.docker/config.json',
  '.kube/config',
  '.azure/token',
  '.npmrc',
]

runScenario(
  t,
  'R44: from inside, every admin path and file is out of reach',
  {
    config: `control: { listen: 'unix:state/control.sock' }
credentials:
  loose: { source: { file: 'loose.secret' }, inject: { bearer: true }, hosts: [api.test] }
  closed: { source: { file: 'closed/token.secret' }, inject: { bearer: true }, hosts: [other.test] }
sinks:
  - file: { path: copies/records.ndjson }
`,
    files: { 'loose.secret': CANARY, 'closed/token.secret': CANARY, 'copies/.keep': '' },
  },
  async (cx, t, who) => {
    for (const name of PERSONAL) cx.file(`home/${name}`, CANARY)
    cx.file('home/readable', 'this one may be seen')
    giveTo(cx, who)
    const own = [
      'state/ca.key',
      'state/placeholder.key',
      'state/tasks.ndjson',
      'journal/lock',
      'loose.secret',
      'closed/token.secret',
      'copies/records.ndjson',
    ]
    const names = [...own, ...PERSONAL.map((name) => `home/${name}`)]
    const tried = await tryInside(
      cx,
      `
for name in ${JSON.stringify(names)}: attempt(name, lambda: 'empty' if read(name) == '' else 'SEEN')
attempt('home/readable', lambda: read('home/readable'))
attempt('control', lambda: connect('state/control.sock'))
attempt('ca', lambda: read('certs/ca.crt')[:10])
attempt('rules', lambda: open('rules/new.yaml', 'w').write('x'))
attempt('configuration', lambda: open('sallyport.yaml', 'a').write('x'))
attempt('certs', lambda: open('certs/ca.crt', 'a').write('x'))
attempt('moved rules', lambda: os.rename('rules', 'others'))
attempt('moved configuration', lambda: os.rename('sallyport.yaml', 'other.yaml'))
attempt('removed configuration', lambda: os.unlink('sallyport.yaml'))
attempt('moved directory', lambda: os.rename(os.getcwd(), os.getcwd() + '-moved'))
attempt('unmasked', lambda: os.rename('loose.secret', 'seen') or read('seen'))
attempt('linked', lambda: os.link('loose.secret', 'linked') or read('linked'))
attempt('work', lambda: open('work', 'w').write('mine') and read('work'))
`,
      who,
    )
    for (const name of names) t.match(tried.get(name), /^(empty|refused)$/, name)
    t.equal(tried.get('home/readable'), 'this one may be seen')
    t.equal(tried.get('ca'), '-----BEGIN')
    t.equal(tried.get('work'), 'mine')
    for (const name of [
      'control',
      'rules',
      'configuration',
      'certs',
      'moved rules',
      'moved configuration',
      'removed configuration',
      'moved directory',
      'unmasked',
      'linked',
    ])
      t.equal(tried.get(name), 'refused', name)
    t.equal(readFileSync(path.join(cx.directory, 'loose.secret'), 'utf8'), CANARY)
  },
)

runScenario(
  t,
  'I6: neither the control API nor the health listener is there, by any address',
  { config: 'PLACEHOLDER' },
  async (cx, t, who) => {
    const [controlPort, healthPort] = [await freePort(), await freePort()]
    cx.file('control.secret', 'a-control-token-of-some-length')
    const written = readFileSync(cx.configFile, 'utf8')
    cx.file(
      'sallyport.yaml',
      written
        .replace(
          'PLACEHOLDER',
          `control: { listen: '127.0.0.1:${controlPort}', tokenFile: control.secret }`,
        )
        .replace(/health: '[^']*'/, `health: '127.0.0.1:${healthPort}'`),
    )
    giveTo(cx, who)
    const tried = await tryInside(
      cx,
      `
for host in ['127.0.0.1', '::1', '10.0.0.1', '169.254.169.254']:
    for port in [${controlPort}, ${healthPort}]: attempt(f'{host} {port}', lambda: dial(host, port))
attempt('proxy', lambda: dial('127.0.0.1', 3128))
attempt('token', lambda: 'empty' if read('control.secret') == '' else 'SEEN')
`,
      who,
    )
    t.equal(tried.get('proxy'), 'open')
    t.equal(tried.get('token'), 'empty')
    const others = [...tried].filter(([name]) => name.includes(' '))
    t.equal(others.length, 8)
    for (const [name, came] of others) t.equal(came, 'refused', name)
  },
)

runScenario(
  t,
  'no socket of the machine is reached: in the file system, abstract, an agent, whatever listens at the start',
  {},
  async (cx, t, who) => {
    const server = net.createServer((socket) => socket.destroy())
    const inDirectory = path.join(cx.directory, 'here.sock')
    await new Promise<void>((resolve) => server.listen(inDirectory, resolve))
    const abstract = net.createServer((socket) => socket.destroy())
    const name = `sallyport-test-${process.pid}-${who}`
    await new Promise<void>((resolve) => abstract.listen(`\0${name}`, resolve))
    const loopback = net.createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => loopback.listen(0, '127.0.0.1', resolve))
    const address = loopback.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      giveTo(cx, who)
      const tried = await tryInside(
        cx,
        `
attempt('path', lambda: connect('here.sock'))
attempt('abstract', lambda: connect('\\0${name}'))
attempt('loopback', lambda: dial('127.0.0.1', ${port}))
own = socket.socket(socket.AF_UNIX); own.bind('own.sock'); own.listen()
attempt('own', lambda: connect('own.sock'))
print('run', sorted(os.listdir('/run')) == [] or sorted(os.listdir('/run')) == ['mount'], sep='\\t')
print('tmp', '${path.basename(cx.directory)}' in os.listdir('/tmp'), sep='\\t')
`,
        who,
      )
      t.equal(tried.get('own'), 'open', 'its own is reached')
      for (const kind of ['path', 'abstract', 'loopback']) t.equal(tried.get(kind), 'refused', kind)
      t.equal(tried.get('run'), 'True')
      t.equal(tried.get('tmp'), 'True', 'of /tmp the working directory is seen')
    } finally {
      for (const one of [server, abstract, loopback]) one.close()
    }
  },
)

runScenario(
  t,
  'no right comes back: nothing is mounted, unmounted, entered, traced or routed, and a namespace below gains nothing',
  {},
  async (cx, t, who) => {
    cx.file('home/.ssh/id', CANARY)
    giveTo(cx, who)
    const tried = await tryInside(
      cx,
      `
print('descriptors', [fd for fd in range(3, 1024) if os.path.exists(f'/proc/self/fd/{fd}')], sep='\\t')
status = dict(line.split(':', 1) for line in read('/proc/self/status').splitlines())
for key in ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs']: print(key, int(status[key], 16), sep='\\t')
attempt('unmount', lambda: code('umount', 'state'))
attempt('unmount lazily', lambda: code('umount', '-l', 'home/.ssh'))
attempt('mount', lambda: code('mount', '-t', 'tmpfs', 'x', '/mnt'))
attempt('remount', lambda: code('mount', '-o', 'remount,bind,rw', 'rules'))
attempt('route', lambda: code('ip', 'route', 'del', 'local', '0.0.0.0/0', 'dev', 'lo'))
attempt('link', lambda: code('ip', 'link', 'set', 'lo', 'down'))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt('uid_map', lambda: os.write(os.open('/proc/self/uid_map', os.O_WRONLY), b'0 0 1'))
attempt('sysctl', lambda: open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/true'))
attempt('init environment', lambda: read('/proc/1/environ'))
attempt('init root', lambda: os.listdir('/proc/1/root'))
libc = ctypes.CDLL(None, use_errno=True)
print('trace', libc.ptrace(16, 1, 0, 0), sep='\\t')
for name in ['mnt', 'net', 'pid', 'user']: attempt('enter ' + name, lambda: os.open('/proc/1/ns/' + name, os.O_RDONLY))
attempt('enter', lambda: code('nsenter', '-t', '1', '-m', 'true'))
below = 'umount home/.ssh; umount -l home/.ssh; mount -o remount,bind,rw rules; umount rules; cat home/.ssh/id; echo x > rules/x'
seen = subprocess.run(['unshare', '-Urmn', 'sh', '-c', below], capture_output=True)
print('below', seen.stdout.decode() + ('' if not os.path.exists('rules/x') else 'WRITTEN'), sep='\\t')
print('ids', os.getuid(), os.getgid(), sep='\\t')
print('processes', len([name for name in os.listdir('/proc') if name.isdigit()]) < 6, sep='\\t')
print('disks', [name for name in os.listdir('/dev') if name.startswith(('sd', 'vd', 'nvme', 'dm-', 'kvm', 'mem'))], sep='\\t')
`,
      who,
    )
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      t.equal(tried.get(name), '0', name)
    t.equal(tried.get('NoNewPrivs'), '1')
    for (const name of ['unmount', 'unmount lazily', 'mount', 'remount', 'route', 'link', 'enter'])
      t.not(tried.get(name), '0', name)
    for (const name of [
      'raw',
      'packet',
      'uid_map',
      'sysctl',
      'init environment',
      'init root',
      'enter mnt',
      'enter net',
      'enter pid',
      'enter user',
    ])
      t.equal(tried.get(name), 'refused', name)
    t.equal(tried.get('trace'), '-1')
    t.equal(tried.get('below'), '')
    t.equal(tried.get('processes'), 'True')
    t.equal(tried.get('disks'), '[]')
    t.equal(tried.get('descriptors'), '[]')
  },
)

runScenario(
  t,
  'linked, missing, nested and awkward places are hidden where they really are',
  {
    config: `ca: { dir: "state/public", key: state/ca.key }
credentials:
  linked: { source: { file: 'links/token' }, inject: { bearer: true }, hosts: [api.test] }
  missing: { source: { file: 'nowhere/token' }, inject: { bearer: true }, hosts: [other.test] }
  awkward: { source: { file: "it's a \\"file\\" \\\\ of mine.secret" }, inject: { bearer: true }, hosts: [third.test] }
`,
  },
  async (cx, t, who) => {
    cx.file('real/token.secret', CANARY)
    cx.file('it\'s a "file" \\ of mine.secret', CANARY)
    mkdirSync(path.join(cx.directory, 'links'))
    symlinkSync('../real/token.secret', path.join(cx.directory, 'links/token'))
    cx.file('elsewhere/id.secret', CANARY)
    symlinkSync('../elsewhere', path.join(cx.directory, 'home/.ssh'))
    giveTo(cx, who)
    const tried = await tryInside(
      cx,
      `
for name in ['links/token', 'real/token.secret', 'it\\'s a "file" \\\\ of mine.secret', 'home/.ssh/id.secret', 'elsewhere/id.secret', 'state/ca.key']:
    attempt(name, lambda: 'empty' if read(name) == '' else 'SEEN')
attempt('ca', lambda: read(os.environ['NODE_EXTRA_CA_CERTS'])[:10])
attempt('ca writes', lambda: open('state/public/ca.crt', 'a'))
print('state', os.listdir('state'), sep='\\t')
`,
      who,
    )
    for (const [name, came] of tried)
      if (!/^(ca|state)/.test(name) || name === 'state/ca.key')
        t.match(came, /^(empty|refused)$/, name)
    t.equal(tried.get('ca'), '-----BEGIN', 'public certificates within what is hidden are seen')
    t.equal(tried.get('ca writes'), 'refused')
    t.equal(tried.get('state'), "['public']")
  },
)

runScenario(
  t,
  'a working directory within what is hidden is refused with words',
  {},
  async (cx, t, who) => {
    mkdirSync(path.join(cx.directory, 'state'), { mode: 0o700 })
    giveTo(cx, who)
    const { status, stdout, stderr } = await runInside(cx, ['echo', 'ran'], { who, cwd: 'state' })
    t.equal(status, 1)
    t.equal(stdout, '')
    t.match(stderr, /the working directory \S+ is in \S+state, which a sandbox does not see/)
  },
)

runScenario(
  t,
  'a secret whose directory is closed stays hidden although another file replaces it; of others the program warns',
  {
    config: `credentials:
  closed: { source: { file: 'closed/token.secret' }, inject: { bearer: true }, hosts: [api.test] }
  loose: { source: { file: 'loose.secret' }, inject: { bearer: true }, hosts: [other.test] }
`,
    files: { 'loose.secret': CANARY },
  },
  async (cx, t, who) => {
    mkdirSync(path.join(cx.directory, 'closed'), { mode: 0o700 })
    cx.file('closed/token.secret', CANARY)
    giveTo(cx, who)
    const child = startRun(cx, ['sh', '-c', 'echo up; read line; ls -A closed; echo listed'], {
      who,
    })
    const outcome = outcomeOf(child)
    await new Promise((resolve) => child.stdout?.once('data', resolve))
    const beside = path.join(cx.directory, 'closed/new.secret')
    writeFileSync(beside, `${CANARY}-again`)
    renameSync(beside, path.join(cx.directory, 'closed/token.secret'))
    child.stdin?.end('go on\n')
    const { stdout, stderr } = await outcome
    t.equal(stdout, 'up\nlisted\n')
    t.match(stderr, /loose\.secret is hidden, a file that replaces it is not/)
    t.notMatch(stderr, 'closed')
  },
)

void t.test('the machine is as it was', async (t) => {
  t.match(execFileSync('ls', ['-l', '/dev/null'], { encoding: 'utf8' }), /^crw-rw-rw-/)
})
