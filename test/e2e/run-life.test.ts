// From its first process to its last: signals, a terminal, orphans, and that nothing inside outlives what it belongs to.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'

import t from 'tap'

import { outcomeOf, runInside, runScenario, startRun } from '../fixtures/run.ts'
import { until, type Scenario } from '../fixtures/scenario.ts'

/** Processes of this machine whose command line has a word. */
function processesWith(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').includes(word)
      } catch {
        return false
      }
    })
    .map(Number)
}

/** Those of them that are the command itself: what started it has its words as well. */
function sleepersWith(word: string): number[] {
  return processesWith(word).filter(
    (pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sleep',
  )
}

/** Waits for a line on standard output. */
async function lineOf(stream: Readable | null, wanted: string): Promise<void> {
  let seen = ''
  while (!seen.includes(wanted)) {
    const [chunk]: Buffer[] = await once(stream!, 'data')
    seen += chunk!.toString()
  }
}

/** The one process that has the journal: the program itself, whatever started it. */
function sidecarPid(cx: Scenario): number {
  const holder: { pid: number } = JSON.parse(
    readFileSync(path.join(cx.directory, 'journal/lock'), 'utf8'),
  )
  return holder.pid
}

const SAY_SIGNALS = `
for name in INT TERM HUP QUIT USR1 USR2 WINCH CONT; do trap "echo got $name" $name; done
echo up
while read line; do echo "$line"; done
while [ ! -e finished ]; do sleep 0.05; done
exit 4`

runScenario(t, 'signals reach the command, and its code comes back', {}, async (cx, t, who) => {
  const child = startRun(cx, ['sh', '-c', SAY_SIGNALS], { who })
  await lineOf(child.stdout, 'up')
  child.stdin?.end()
  for (const name of ['INT', 'TERM', 'HUP', 'QUIT', 'USR1', 'USR2', 'WINCH', 'CONT']) {
    const said = lineOf(child.stdout, `got ${name}`)
    process.kill(sidecarPid(cx), `SIG${name}`)
    await said
    t.pass(name)
  }
  cx.file('finished', '')
  t.equal((await outcomeOf(child)).status, 4)
  const plain = startRun(cx, ['sh', '-c', 'echo up; exec sleep 600.01'], { who })
  await lineOf(plain.stdout, 'up')
  process.kill(sidecarPid(cx), 'SIGTERM')
  t.equal((await outcomeOf(plain)).status, 143)
})

runScenario(t, 'orphans are taken in, and end with the command', {}, async (cx, t, who) => {
  const script = `(sh -c 'exit 0' & sleep 600.02 & sleep 600.02 >/dev/null 2>&1 </dev/null & )
sleep 0.3
ps -o stat= -e | grep -c Z
ps -o ppid=,comm= -e | awk '$2 == "sleep" { print $1 }' | sort -u
exit 3`
  const { status, stdout } = await runInside(cx, ['sh', '-c', script], { who })
  t.equal(status, 3)
  t.strictSame(stdout.trim().split('\n'), ['0', '1'], 'no zombie; their parent is process 1')
  t.strictSame(processesWith('600.02'), [], 'what the command left behind is gone')
})

runScenario(
  t,
  'R47: a sidecar that is killed takes everything inside with it',
  {},
  async (cx, t, who) => {
    const child = startRun(cx, ['sh', '-c', 'sleep 600.03 & echo up; sleep 600.03'], { who })
    const outcome = outcomeOf(child)
    await until(() => sleepersWith('600.03').length === 2, 'both are there')
    process.kill(sidecarPid(cx), 'SIGKILL')
    await until(() => processesWith('600.03').length === 0, 'both are gone')
    t.equal((await outcome).status, null)
  },
)

runScenario(t, 'a command that is killed ends its task', {}, async (cx, t, who) => {
  const outcome = outcomeOf(startRun(cx, ['sleep', '600.04'], { who }))
  await until(() => sleepersWith('600.04').length === 1, 'it is there')
  for (const pid of sleepersWith('600.04')) process.kill(pid, 'SIGKILL')
  t.equal((await outcome).status, 137)
  const ended = cx.records().find(({ event }) => event.action === 'task-ended')
  t.match(ended?.sallyport.detail, {
    cause: 'sandbox-exited',
    reason: 'the command ended with 137',
  })
})

runScenario(
  t,
  'I10: a task that is revoked from outside ends the command, and says why',
  {},
  async (cx, t, who) => {
    const child = startRun(cx, ['sh', '-c', 'trap "" TERM; echo up; sleep 600.05'], { who })
    const outcome = outcomeOf(child)
    await lineOf(child.stdout, 'up')
    const { id } = cx.records().find(({ event }) => event.action === 'task-created')!.sallyport
      .task!
    const revoked = cx.run('task', 'revoke', id, '--reason', 'seen enough')
    t.equal(revoked.status, 0, revoked.stderr)
    t.match(revoked.stdout, /sandbox.*ended/s)
    const { status, stderr } = await outcome
    t.equal(status, 137)
    t.match(stderr, 'sallyport: the task is over (revoked: seen enough), and so is the command')
    t.strictSame(processesWith('600.05'), [])
  },
)

runScenario(
  t,
  'a task that expires ends the command',
  { rules: {}, expires: null },
  async (cx, t, who) => {
    cx.file(
      'rules/set.yaml',
      'ruleset: set\nowner: a@example.com\nrules:\n  - { id: r, allow: https://api.test }\n',
    )
    cx.file(
      'task.yaml',
      `intent: e2e
owner: { name: o, team: t }
agent: { account: a, instance: a/1 }
sandbox: { id: box }
rules: [set]
environment: test
ceiling: internal
expires: 2s
`,
    )
    const { status, stderr } = await runInside(cx, ['sleep', '600.06'], {
      who,
      flags: ['--task', 'task.yaml'],
    })
    t.equal(status, 137)
    t.match(stderr, 'the task is over (expired)')
  },
)

// A shell with job control on a terminal of its own: an interrupted job, a stopped one, what a shell says of both.
const TERMINAL = `
import os, pty, sys, time, select, signal
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
def read(until, seconds=40):
    seen = b''
    end = time.time() + seconds
    while until not in seen:
        if time.time() > end or not select.select([fd], [], [], 1)[0] and time.time() > end:
            sys.exit('no %r in %r' % (until, seen))
        if select.select([fd], [], [], 0.1)[0]:
            try: seen += os.read(fd, 4096)
            except OSError: break
    return seen
read(b'ready> ')
def say(text, until):
    os.write(fd, text)
    return read(until)
say(b'tty -s && echo is-a-$((1+0))-terminal\\n', b'is-a-1-terminal')
os.write(fd, b'sleep 600.07\\n'); time.sleep(1); say(b'\\x03', b'ready> ')
say(b'echo code $?\\n', b'code 130')
os.write(fd, b'sleep 600.07\\n'); time.sleep(1); say(b'\\x1a', b'Stopped')
say(b'kill %1; wait; echo jobs-$((2+0))\\n', b'jobs-2')
os.write(fd, b'exit 6\\n')
_, status = os.waitpid(pid, 0)
print(os.WEXITSTATUS(status))
`

runScenario(
  t,
  'an interactive shell has its terminal: job control, interrupts, its code',
  {},
  async (cx, t, who) => {
    const child = startRun(cx, ['true'], { who })
    await outcomeOf(child)
    const words = child.spawnargs.slice(0, -1)
    const shell = ['bash', '--norc', '--noprofile', '-i']
    const wrapped = [...words, 'env', 'PS1=ready> ', ...shell]
    const python = spawn('python3', ['-c', TERMINAL, ...wrapped], {
      cwd: cx.directory,
      env: { PATH: process.env['PATH'] ?? '', HOME: path.join(cx.directory, 'home') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { status, stdout, stderr } = await outcomeOf(python)
    t.equal(status, 0, stderr)
    t.equal(stdout.trim(), '6')
  },
)
