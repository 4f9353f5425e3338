// Tokens of a GitHub App for tasks, with the real clients: `gh` and `git` hold placeholders, and what GitHub sees is a token for
// the task's repository alone, which is dead when the task is.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import { startGithub, type GithubUpstream } from '../fixtures/github-upstream.ts'
import { pki, scenario, until, type ClientRun, type Scenario } from '../fixtures/scenario.ts'
import { makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const NAME = 'github.test'
const hasGh = spawnSync('gh', ['--version']).status === 0

/** A scenario of two credentials of one app, as `gh` and `git` say them. */
function github(
  title: string,
  body: (cx: Scenario, t: Test, server: GithubUpstream, host: string) => Promise<void>,
): void {
  void t.test(title, { skip: hasGh ? false : 'gh is not installed here' }, async (t) => {
    const server = await startGithub(pki.issue({ names: [NAME] }))
    if (server === undefined) {
      t.comment('git’s http-backend is not installed here')
      return
    }
    t.teardown(() => server.close())
    const host = `${NAME}:${server.port}`
    const source = (permissions: string): string =>
      `{ github: { app: ${server.appId}, key: { file: app.secret }, repositories: ['{repo}'], permissions: { ${permissions} }, api: 'https://${host}/api/v3' } }`
    scenario(
      t,
      title,
      {
        hosts: [NAME],
        expires: null,
        files: { 'app.secret': server.key.pkcs1 },
        config: `credentials:
  api: { source: ${source('issues: write')}, inject: { header: { name: Authorization, format: 'token {}' } }, hosts: ['${host}'], placeholder: { env: GH_ENTERPRISE_TOKEN, prefix: ghs_, length: 40 } }
  git: { source: ${source('contents: write')}, inject: { basic: { user: x-access-token } }, hosts: ['${host}'], placeholder: { env: GIT_TOKEN, prefix: ghs_, length: 40 } }
`,
        rules: {
          set: `ruleset: set
owner: a@example.com
params: { repo: { pattern: '.*' } }
rules:
  - { id: api, allow: 'https://${host}', paths: ['/api/**'], credential: api, ${LOOPBACK} }
  - { id: git, allow: 'https://${host}', paths: ['/acme/**'], credential: git, ${LOOPBACK} }
`,
        },
      },
      (cx, t) => body(cx, t, server, host),
    )
  })
}

function runner(
  cx: Scenario,
  task: MadeTask,
  host: string,
): (command: 'gh' | 'git', ...words: string[]) => Promise<ClientRun> {
  const home = path.join(cx.directory, 'home', task.id)
  mkdirSync(home, { recursive: true })
  const env = { HOME: home, GH_HOST: host, GH_PROMPT_DISABLED: '1', GIT_TERMINAL_PROMPT: '0' }
  return (command, ...words) => cx.client(command, words, { variables: task.env, env, cwd: home })
}

const tokensFor = ({ tokens }: GithubUpstream, permission: string): GithubUpstream['tokens'] =>
  tokens.filter(({ permissions }) => permission in permissions)

github(
  'R18: R20: gh and git work with placeholders, two tasks have two tokens, and both are dead afterwards',
  async (cx, t, server, host) => {
    const [one, two] = await Promise.all([
      makeTask(cx, { params: { repo: 'acme/widgets' } }),
      makeTask(cx, { params: { repo: 'acme/other' } }),
    ])
    const [first, second] = [runner(cx, one, host), runner(cx, two, host)]
    t.match(one.env['GH_ENTERPRISE_TOKEN'], /^ghs_\w{36}$/)

    const listed = await first('gh', 'issue', 'list', '-R', `${host}/acme/widgets`)
    t.match(listed, { status: 0, stdout: /It squeaks/ }, `gh issue list: ${listed.stderr}`)
    const made = await first('gh', 'api', 'repos/acme/widgets/issues', '-f', 'title=It creaks')
    t.match(made, { status: 0, stdout: /It creaks/ }, `gh api: ${made.stderr}`)
    t.strictSame(server.issues.at(-1), { repository: 'widgets', title: 'It creaks' })

    const elsewhere = await first('gh', 'api', 'repos/acme/other/issues')
    t.not(elsewhere.status, 0, 'the other repository is out of its scope')
    t.match(elsewhere.stderr, /404/)
    t.match(await second('gh', 'api', 'repos/acme/other/issues'), { status: 0 })

    const url = `https://${host}/acme/widgets.git`
    const cloned = await first('git', 'clone', '-q', url, 'clone')
    t.equal(cloned.status, 0, `git clone: ${cloned.stderr}`)
    const pair = Buffer.from(`x-access-token:${one.env['GIT_TOKEN']}`).toString('base64')
    const pushed = await first(
      'git',
      '-C',
      'clone',
      '-c',
      `http.extraHeader=Authorization: Basic ${pair}`,
      'push',
      '-q',
      'origin',
      'HEAD:refs/heads/agent/new',
    )
    t.equal(pushed.status, 0, `git push: ${pushed.stderr}`)
    t.not(server.head('agent/new'), '')
    t.not((await second('git', 'clone', '-q', url, 'clone')).status, 0)
    t.match(await second('git', 'clone', '-q', `https://${host}/acme/other`, 'own'), { status: 0 })

    t.equal(tokensFor(server, 'issues').length, 2, 'one a task')
    t.equal(tokensFor(server, 'contents').length, 2)
    for (const { token, repositories, permissions } of server.tokens) {
      t.equal(repositories.length, 1)
      t.equal(Object.keys(permissions).length, 2, 'and the metadata that everybody may read')
      cx.guard(token, token)
    }
    t.ok(
      server.authorizations.every((sent) => !sent.includes(one.env['GH_ENTERPRISE_TOKEN'] ?? '')),
      'no placeholder left',
    )

    await Promise.all([revoke(cx, one.id), revoke(cx, two.id)])
    await until(() => server.tokens.every(({ isRevoked }) => isRevoked), 'all tokens are dead')
    t.ok(existsSync(path.join(cx.directory, 'journal')))
  },
)

github(
  'R14: R17: a placeholder of another task, or at another place, is refused; nothing of a token comes back',
  async (cx, t, server, host) => {
    const [one, two] = await Promise.all([
      makeTask(cx, { params: { repo: 'acme/widgets' } }),
      makeTask(cx, { params: { repo: 'acme/other' } }),
    ])
    const run = runner(cx, one, host)
    const url = 'repos/acme/widgets/issues'
    t.match(await run('gh', 'api', url), { status: 0 }, 'its own is replaced')
    const own = one.env['GH_ENTERPRISE_TOKEN'] ?? ''
    const misplaced = await run('gh', 'api', url, '-H', `X-Token: ${own}`)
    t.not(misplaced.status, 0)
    await cx.record(({ event }) => event.reason === 'placeholder-misused')
    const before = server.requests.length
    const other = runner(
      cx,
      { ...one, env: { ...one.env, GH_ENTERPRISE_TOKEN: two.env['GH_ENTERPRISE_TOKEN'] ?? '' } },
      host,
    )
    await other('gh', 'api', url)
    t.ok(server.requests.length >= before)
    t.equal(
      tokensFor(server, 'issues').filter(({ uses }) => uses > 0).length,
      1,
      'what another task holds gets nothing of its token',
    )
    for (const { token } of server.tokens) cx.guard(token, token)
  },
)

github(
  'a task whose scope is empty is refused what needs the token, and nothing else is',
  async (cx, t, server, host) => {
    const bad = await makeTask(cx, { params: { repo: '' } })
    const run = runner(cx, bad, host)
    const refused = await run('gh', 'api', 'repos/acme/widgets/issues')
    t.not(refused.status, 0)
    await cx.record(({ event }) => event.reason === 'credential-unavailable')
    t.equal(server.tokens.length, 0)
    const good = runner(cx, await makeTask(cx, { params: { repo: 'acme/widgets' } }), host)
    t.match(await good('gh', 'api', 'repos/acme/widgets/issues'), { status: 0 })
  },
)
