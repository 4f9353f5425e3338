// What a command of `sallyport run` would reach beside its masks and its group.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { giveTo, outcomeOf, runInside, runScenario, startRun } from '../fixtures/run.ts'

const CANARY = 'canary-of-what-is-hidden-00002'

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
