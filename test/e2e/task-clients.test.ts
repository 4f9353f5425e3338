// Real clients that prove their task by the proxy URL alone, as an orchestrator hands it to a sandbox; and what they say to
// a person once the task has ended.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { gitBackend, startGit } from '../fixtures/git-upstream.ts'
import { startNpmRegistry } from '../fixtures/npm-registry.ts'
import {
  pki,
  ruleSet,
  scenario,
  startSecure,
  type ClientRun,
  type Scenario,
} from '../fixtures/scenario.ts'
import { makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

const has = (command: string, ...words: string[]): boolean =>
  spawnSync(command, words, { stdio: 'ignore' }).status === 0

void t.test('clients with a token in the proxy URL', async (t) => {
  const sec = await startSecure(['sec.test'], () => ({ body: 'hello from sec' }))
  const up = await startHttp({ handler: () => ({ body: 'hello from up' }) })
  const registry = await startNpmRegistry('registry.test', pki.issue({ names: ['registry.test'] }))
  const backend = gitBackend()
  const git =
    backend === undefined ? undefined : await startGit(backend, pki.issue({ names: ['git.test'] }))
  t.teardown(() =>
    Promise.all([sec, up, registry, ...(git ? [git] : [])].map((one) => one.close())),
  )
  const secure = `https://sec.test:${sec.port}/`
  const plain = `http://up.test:${up.port}/`
  const options = {
    hosts: ['sec.test', 'up.test', 'registry.test', 'git.test'],
    rules: ruleSet(
      `id: sec, allow: 'https://sec.test:${sec.port}', ${LOOPBACK}`,
      `id: up, allow: 'http://up.test:${up.port}', ${LOOPBACK}`,
      `id: npm, allow: 'https://registry.test:${registry.port}', ${LOOPBACK}`,
      `id: git, allow: 'https://git.test:${git?.port ?? 1}', ${LOOPBACK}`,
    ),
    expires: null,
  }

  /** Runs a client with the task's environment, before its end and after it. */
  function client(
    title: string,
    isThere: boolean,
    run: (cx: Scenario, task: MadeTask, t: Test) => Promise<ClientRun>,
    says: RegExp,
  ): void {
    if (!isThere) {
      void t.test(title, { skip: 'not installed here' }, () => undefined)
      return
    }
    scenario(t, title, options, async (cx, t) => {
      const task = await makeTask(cx)
      const before = await run(cx, task, t)
      t.equal(before.status, 0, before.stderr)
      await revoke(cx, task.id)
      const after = await run(cx, task, t)
      t.not(after.status, 0, 'after its end')
      t.match(after.stdout + after.stderr, says)
      await cx.record(({ event }) => event.reason === 'allowed')
      await cx.record(({ event }) => event.reason === 'task-ended')
      // Some ask without a credential first, and again once they are told to send one.
      const told = cx.terminal().filter(({ event }) => event.reason !== 'identity-missing')
      t.ok(told.every(({ sallyport }) => sallyport.task?.id === task.id))
    })
  }

  const run =
    (command: string, ...words: string[]) =>
    (cx: Scenario, { env }: MadeTask): Promise<ClientRun> =>
      cx.client(command, words, { env })

  client('curl', has('curl', '--version'), run('curl', '-sSf', secure, plain), /403/)
  client(
    'wget',
    has('wget', '--version'),
    run('wget', '-nv', '-O-', '--tries=1', secure),
    /task-ended/,
  )
  const urllib = `import urllib.request as r; [print(r.urlopen(u).read()) for u in ('${plain}', '${secure}')]`
  client('python urllib', has('python3', '--version'), run('python3', '-c', urllib), /403/)
  const requests = `import requests; [requests.get(u).raise_for_status() for u in ('${plain}', '${secure}')]`
  client(
    'python requests',
    has('/usr/bin/python3', '-c', 'import requests'),
    run('/usr/bin/python3', '-c', requests),
    /403/,
  )
  const fetchBoth = `for (const u of ['${plain}', '${secure}']) { const a = await fetch(u); if (!a.ok) throw new Error(a.status + ' ' + await a.text()) }`
  client(
    'node fetch',
    true,
    run(process.execPath, '--input-type=module', '-e', fetchBoth),
    /403|task-ended/,
  )
  client(
    'git',
    backend !== undefined,
    (cx, { env }) => {
      const clone = path.join(cx.directory, `home/clone-${Date.now()}`)
      return cx.client(
        'git',
        ['clone', '-q', `https://git.test:${git?.port}/acme/widgets.git`, clone],
        { env },
      )
    },
    /403/,
  )
  client(
    'npm',
    has('npm', '--version'),
    (cx, { env }) => {
      const project = path.join(cx.directory, 'home', `project-${Date.now()}`)
      mkdirSync(project, { recursive: true })
      writeFileSync(path.join(project, 'package.json'), '{"name":"project","version":"1.0.0"}')
      const words = ['install', 'leftish', `--registry=https://registry.test:${registry.port}/`]
      return cx.client(
        'npm',
        [...words, '--no-audit', '--no-fund', '--fetch-retries=0', '--prefer-online'],
        {
          env,
          cwd: project,
        },
      )
    },
    /403/,
  )
})
