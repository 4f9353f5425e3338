// `sallyport run`: a command in namespaces whose only way out is the sidecar, as root and as an ordinary user. What it is
// given, what passes through, what it may not.

import path from 'node:path'

import t from 'tap'

import { runInside, runScenario } from '../fixtures/run.ts'
import { startSecure } from '../fixtures/scenario.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

runScenario(
  t,
  'real curl reaches what a rule allows by the explicit proxy, and nothing else; the task is over with it',
  { hosts: ['api.test', 'other.test'] },
  async (cx, t, who) => {
    const upstream = cx.track(await startSecure(['api.test']))
    cx.file(
      'rules/set.yaml',
      `ruleset: set\nowner: a@example.com\nrules:\n  - { id: read, allow: 'https://api.test:${upstream.port}', methods: [GET], ${LOOPBACK} }\n`,
    )
    const flags = ['--rules', 'set']
    const url = `https://api.test:${upstream.port}/ok`
    const allowed = await runInside(cx, ['curl', '-sS', url], { who, flags })
    t.equal(allowed.status, 0, allowed.stderr)
    t.match(allowed.stdout, '"url":"/ok"')
    const refused = await runInside(cx, ['curl', '-sS', 'https://other.test/'], { who, flags })
    t.equal(refused.status, 56, refused.stderr)
    const { sallyport } = await cx.record(({ event }) => event.reason === 'not-on-allowlist')
    t.match(sallyport.task, { owner_source: 'local', agent: 'curl', team: 'local' })
    const past = ['curl', '-sS', '-m', '5', '--noproxy', '*', `http://127.0.0.1:${upstream.port}/`]
    const direct = await runInside(cx, past, { who, flags })
    t.equal(direct.status, 7, 'the loopback of the machine is not that of the sandbox')
    t.equal(upstream.seen.length, 1)
    const ends = cx.records().filter(({ event }) => event.action === 'task-ended')
    t.equal(ends.length, 3, 'each command was a task, and each task is over')
    const receipts = cx.records().filter(({ event }) => event.action === 'task-receipt')
    t.match(receipts[0]?.sallyport.detail?.['receipt'], {
      cause: 'sandbox-exited',
      reason: 'the command ended with 0',
      complete: true,
    })
  },
)

runScenario(
  t,
  'without rules everything is refused, and one line says so',
  {},
  async (cx, t, who) => {
    const { status, stderr } = await runInside(cx, ['curl', '-sS', 'http://api.test/'], { who })
    t.equal(status, 0)
    t.equal(
      stderr,
      'sallyport: no rules: everything is refused; name rule sets by `--rules`, or write a `--task` file\n',
    )
    t.equal((await cx.record(() => true)).event.reason, 'not-on-allowlist')
  },
)

runScenario(
  t,
  'the environment is an allowlist, what clients need, and placeholders where there are secrets',
  {
    config: `credentials:
  api: { source: { env: API_KEY }, inject: { bearer: true }, hosts: [api.test], placeholder: { env: API_KEY, prefix: key_, length: 40 } }
  other: { source: { env: LC_SECRET }, inject: { bearer: true }, hosts: [other.test] }
`,
    secrets: { API_KEY: 'canary-of-the-api-key-0001', LC_SECRET: 'canary-of-the-other-key-002' },
  },
  async (cx, t, who) => {
    const env = {
      API_KEY: 'canary-of-the-api-key-0001',
      LC_SECRET: 'canary-of-the-other-key-002',
      LC_ALL: 'C.UTF-8',
      SSH_AUTH_SOCK: '/nowhere/agent',
      GITHUB_TOKEN: 'a-token-that-nobody-configured',
      LD_PRELOAD: '',
      SALLYPORT_LOG: 'error',
      EDITOR: 'vi',
    }
    const { stdout } = await runInside(cx, ['env', '-0'], { who, env })
    const given = Object.fromEntries(
      stdout.split('\0').map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]),
    )
    t.match(given['API_KEY'], /^key_/)
    t.equal(given['API_KEY']?.length, 40)
    t.match(given['OTHER_TOKEN'], /^sallyport_other_/)
    t.equal(given['LC_ALL'], 'C.UTF-8')
    t.equal(given['EDITOR'], 'vi')
    t.equal(given['HTTPS_PROXY'], 'http://127.0.0.1:3128')
    t.equal(given['SSL_CERT_FILE'], path.join(cx.directory, 'certs/ca-bundle.crt'))
    for (const name of [
      'LC_SECRET',
      'SSH_AUTH_SOCK',
      'GITHUB_TOKEN',
      'LD_PRELOAD',
      'SALLYPORT_LOG',
    ])
      t.notOk(name in given, `${name} stays outside`)
    t.notMatch(stdout, 'canary')
    const others = await runInside(
      cx,
      ['sh', '-c', 'cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"'],
      { who, env },
    )
    t.match(others.stdout, 'HTTPS_PROXY', 'its own is read')
    t.notMatch(others.stdout, /canary|nobody-configured/, 'nobody there has more')
  },
)
