// Proves `explain` and `test`: the verdict of live traffic's own code, with every rule that was looked at.

import path from 'node:path'

import t from 'tap'

import { loadConfig } from '../../../src/config/load.ts'
import { buildStaticTask } from '../../../src/config/task.ts'
import { CONFIGURATION, RULES, run, type Ran } from './support.ts'

const PROD_ONLY = `  - id: prod-only
    allow: https://prod.test
    methods: [GET]
    environment: prod
`
const MCP = `  - id: linear
    allow: https://mcp.test/mcp
    tools: [list_*]
    resources: ['file:///work/*']
    prompts: [triage]
    pin: { list_issues: 'sha256:${'0'.repeat(64)}' }
`
const INSIDE = `  - id: ask
    allow: https://model.test
    maxTokens: 10
  - id: push
    allow: https://git.test
    git: { push: ['refs/heads/agent/*'] }
`
const dir = t.testdir({
  'sallyport.yaml': `limits: { inspectBytesMax: 1024 }\n${CONFIGURATION}`,
  rules: { 'w.yaml': RULES.replace('tests:', `${PROD_ONLY}${MCP}${INSIDE}tests:`) },
})
const explain = (...words: string[]): Promise<Ran> =>
  run(['explain', ...words, '--config', path.join(dir, 'sallyport.yaml')])
const ISSUES = 'https://api.test/repos/acme/widgets/issues'

void t.test(
  'an allowed call exits 0 and shows its rule, its credential and the way there',
  async (t) => {
    const { code, out } = await explain('GET', ISSUES)
    t.equal(code, 0)
    t.match(out, /^allow by widgets\/read\ncredential: api\n/)
    t.match(out, /deny {2}widgets\/no-secrets {2}not by path .*w\.yaml:5:5\n/)
    t.match(out, /allow widgets\/read {2}matched .*w\.yaml:8:5\n/)
    t.match(out, /allow widgets\/traced {2}not by method/)
  },
)

void t.test('a denied call exits 1 with the reason that the client would see', async (t) => {
  t.match(await explain('DELETE', ISSUES), { code: 1, out: /^deny method-not-allowed: / })
  t.match(await explain('GET', 'https://api.test/repos/acme/other/issues'), {
    code: 1,
    out: /^deny path-not-allowed/,
  })
  t.match(await explain('GET', `${ISSUES}/../secrets`), { code: 1, out: /^deny malformed-path/ })
  t.match(await explain('GET', 'https://api.test/repos/a/b/SECRETS/x'), {
    code: 1,
    out: /^deny by widgets\/no-secrets denied-by-rule/,
  })
  t.match(await explain('GET', 'https://127.0.0.1/'), { code: 1, out: /^deny ip-not-on-allowlist/ })
})

void t.test('a tunnel is asked for as CONNECT HOST:PORT', async (t) => {
  t.match(await explain('CONNECT', 'api.test:443'), { code: 0, out: /^allow/ })
  t.match(await explain('CONNECT', 'api.test:22'), { code: 1, out: /^deny port-not-allowed/ })
})

void t.test('headers count', async (t) => {
  t.equal((await explain('POST', 'https://api.test/log')).code, 1)
  t.equal((await explain('POST', 'https://api.test/log', '--header', 'X-Trace: abc')).code, 0)
  t.match(await explain('POST', 'https://api.test/log', '--header', 'nonsense'), { code: 2 })
})

void t.test('each clause of a condition is shown with what it comes to', async (t) => {
  const place = t.testdir({
    'sallyport.yaml': '{}',
    rules: {
      'c.yaml': `ruleset: c
rules:
  - id: small
    allow: https://when.test
    when: >-
      call.method == "GET" &&
      (call.query.a == "1" || call.port == 443)
`,
    },
  })
  const config = ['--rules', 'c', '--config', path.join(place, 'sallyport.yaml')]
  t.match(await run(['explain', 'GET', 'https://when.test/?a=1&a=2', ...config]), {
    code: 0,
    out: /c\/small .*\n {8}call\.method == "GET" {2}true\n {8}call\.query\.a == "1" \|\| call\.port == 443 {2}true\n {8}call\.query\.a == "1" {2}error: is there more than once\n {8}call\.port == 443 {2}true\n/,
  })
  t.match(await run(['explain', 'POST', 'https://when.test/', ...config]), {
    code: 1,
    out: /^deny operation-not-allowed[^]* {8}call\.method == "GET" {2}false\n/,
  })
})

void t.test('rule sets and parameters may be given instead of a task', async (t) => {
  const other = 'https://api.test/repos/acme/other/issues'
  t.equal((await explain('GET', other, '--param', 'repo=acme/other')).code, 0, 'over the task')
  t.equal((await explain('GET', other, '--rules', 'widgets', '--param', 'repo=acme/other')).code, 0)
  t.match(await explain('GET', other, '--rules', 'widgets'), {
    code: 2,
    err: /no value for `repo`/,
  })
  t.match(await explain('GET', other, '--rules', 'wigdets'), {
    code: 2,
    err: /did you mean `widgets`/,
  })
  t.match(await explain('GET', other, '--param', 'repo'), { code: 2, err: /is not name=value/ })
})

void t.test(
  'R28: the environment may be given, with rule sets or over that of the task',
  async (t) => {
    const url = 'https://prod.test/x'
    t.match(await explain('GET', url), { code: 1, out: /^deny environment-mismatch/ })
    t.equal((await explain('GET', url, '--environment', 'prod')).code, 0, 'over the task')
    const alone = ['--rules', 'widgets', '--param', 'repo=acme/widgets']
    t.match(await explain('GET', url, ...alone), {
      code: 1,
      out: /widgets\/prod-only {2}not by environment/,
    })
    t.equal((await explain('GET', url, ...alone, '--environment', 'prod')).code, 0)
  },
)

void t.test(
  'the task may be named, and any other is asked for where the sidecar runs',
  async (t) => {
    const other = await explain('GET', ISSUES, '--task', 't_other')
    t.match(other, { code: 1, err: /control API at unix:.* does not answer/ })
    const file = path.join(dir, 'sallyport.yaml')
    const { task } = loadConfig({ file, environment: {} }).config ?? {}
    const { id } = buildStaticTask(task!, 0)
    t.equal((await explain('GET', ISSUES, '--task', id)).code, 0)
    t.match(await explain('GET', ISSUES, '--task', id, '--rules', 'widgets'), {
      code: 2,
      err: /not both/,
    })
  },
)

void t.test('R38: a tool, a resource or a prompt may be asked about', async (t) => {
  const url = 'https://mcp.test/mcp'
  const allowed = await explain('POST', url, '--tool', 'list_issues')
  t.match(allowed, { code: 0, out: /^allow by widgets\/linear\n/ })
  t.match(await explain('POST', url, '--tool', 'delete_issue'), {
    code: 1,
    out: /^deny tool-not-allowed: .*widgets\/linear {2}not by tools/s,
  })
  t.equal((await explain('POST', url, '--resource', 'file:///work/a')).code, 0)
  t.match(await explain('POST', url, '--resource', 'file:///etc/passwd'), {
    code: 1,
    out: /^deny source-not-allowed: .*not by resources/s,
  })
  t.equal((await explain('POST', url, '--prompt', 'triage')).code, 0)
  t.match(await explain('POST', url, '--prompt', 'other'), { code: 1, out: /not by prompts/ })
  t.match(await explain('POST', url), { code: 0, out: /by the head alone: .* mcp\n/ })
  t.match(await explain('POST', url, '--tool', 'a', '--prompt', 'b'), { code: 2, err: /one of/ })
  t.match(await explain('CONNECT', 'mcp.test:443', '--tool', 'a'), { code: 2, err: /a tunnel/ })
  const { obligations } = JSON.parse(
    (await explain('POST', url, '--tool', 'list_issues', '--json')).out,
  )
  t.match(obligations, { pins: { list_issues: /^sha256:/ } })
})

void t.test('R38: a body may be given as a file, and is read as a live one', async (t) => {
  const question = (more: object): string =>
    JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: 'hi' }], ...more })
  const pkt = (text: string): string => (text.length + 4).toString(16).padStart(4, '0') + text
  const push = (ref: string): string =>
    `${pkt(`${'0'.repeat(40)} ${'1'.repeat(40)} ${ref}\0 report-status`)}0000PACK`
  const files = t.testdir({
    ok: question({ max_tokens: 9 }),
    more: question({ max_tokens: 11 }),
    broken: '{"model":',
    large: question({ max_tokens: 9, user: 'x'.repeat(2000) }),
    call: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_issues"}}',
    other: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_issue"}}',
    agent: push('refs/heads/agent/x'),
    main: push('refs/heads/main'),
  })
  const file = (name: string): string => `@${path.join(files, name)}`
  const ask = (url: string, type: string, name: string): Promise<Ran> =>
    explain('POST', url, '--header', `Content-Type: ${type}`, '--body', file(name))
  const model = (name: string): Promise<Ran> =>
    ask('https://model.test/v1/chat/completions', 'application/json', name)
  t.match(await model('ok'), { code: 0, out: /^allow by widgets\/ask\n/ })
  t.match(await model('more'), { code: 1, out: /^deny operation-not-allowed.*not by maxTokens/s })
  t.match(await model('broken'), { code: 1, out: /^deny malformed-body/ })
  t.match(await model('large'), { code: 1, out: /^deny body-too-large/ })
  const mcp = (name: string): Promise<Ran> => ask('https://mcp.test/mcp', 'application/json', name)
  t.match(await mcp('call'), { code: 0, out: /^allow by widgets\/linear\n/ })
  t.match(await mcp('other'), { code: 1, out: /^deny tool-not-allowed/ })
  const git = (name: string): Promise<Ran> =>
    ask('https://git.test/a/b/git-receive-pack', 'application/x-git-receive-pack-request', name)
  t.match(await git('agent'), { code: 0, out: /^allow by widgets\/push\n/ })
  t.match(await git('main'), { code: 1, out: /^deny ref-not-allowed.*not by git/s })
  const plain = await explain('GET', ISSUES, '--body', file('ok'))
  t.match(plain, { code: 0, out: /^allow by widgets\/read\n/ }, 'nobody looks into it')
  const rows: readonly (readonly [words: string[], err: RegExp])[] = [
    [['POST', ISSUES, '--body', '{}'], /is not @FILE/],
    [['POST', ISSUES, '--body', file('none')], /cannot be read: ENOENT/],
    [['POST', ISSUES, '--body', file('ok'), '--tool', 'a'], /leave out `--tool`/],
    [['CONNECT', 'api.test:443', '--body', file('ok')], /a tunnel has no body/],
  ]
  for (const [words, err] of rows) t.match(await explain(...words), { code: 2, err })
})

void t.test('scripts get the decision and its trace as JSON', async (t) => {
  const { code, out } = await explain('GET', ISSUES, '--json')
  t.equal(code, 0)
  t.match(JSON.parse(out), {
    verdict: 'allow',
    reason: 'allowed',
    rule: { id: 'read', ruleset: 'widgets', version: /^sha256:/ },
    obligations: { credential: 'api' },
    trace: [
      { matched: false, failedAt: 'path' },
      { matched: true },
      { matched: false, failedAt: 'method' },
    ],
  })
  t.match(JSON.parse((await explain('GET', `${ISSUES}/..`, '--json')).out), {
    verdict: 'deny',
    reason: 'malformed-path',
  })
})

void t.test('what the sidecar answers itself is not asked of the rules', async (t) => {
  for (const words of [
    ['GET', 'http://sallyport.internal/v1/task'],
    ['CONNECT', 'Sallyport.Internal.:80'],
  ])
    t.match(await explain(...words), { code: 2, err: /the sidecar answers it itself/ })
})

void t.test('what is missing is asked for', async (t) => {
  t.match(await explain('GET'), { code: 2, err: /needs METHOD and URL/ })
})

void t.test(
  'a call is explained as at a time, over daylight saving and past an expiry',
  async (t) => {
    const timed = `  - id: timed
    allow: https://timed.test
    between: { from: '02:30', to: '04:00', zone: Europe/Berlin }
    expires: 2027-03-29T00:00:00Z
`
    const own = t.testdir({
      'sallyport.yaml': CONFIGURATION,
      rules: { 'w.yaml': RULES.replace('tests:', `${timed}tests:`) },
    })
    const at = (...words: string[]): Promise<Ran> =>
      run(['explain', ...words, '--config', path.join(own, 'sallyport.yaml')])
    const url = 'https://timed.test/'
    // In Berlin 02:30 does not come on that day: the clock goes from 02:00 to 03:00 at 01:00 UTC.
    t.match(await at('GET', url, '--at', '2027-03-28T00:59:59Z'), {
      code: 1,
      out: /^deny outside-time-window/,
    })
    t.match(await at('GET', url, '--at', '2027-03-28T01:00:00Z'), {
      code: 0,
      out: /^allow by widgets/,
    })
    t.match(await at('GET', url, '--at', '2027-03-28T03:00:00+02:00'), { code: 0 })
    t.match(await at('GET', url, '--at', '2027-03-29T01:30:00Z'), {
      code: 1,
      out: /^deny not-on-allowlist[^]*timed {2}not by expired/,
    })
    t.match(await at('GET', url, '--at', '2027-03-27'), { code: 1, out: /outside-time-window/ })
    for (const wrong of ['tomorrow', '2027-03-28T01:00:00', '2027-02-29'])
      t.match(await at('GET', url, '--at', wrong), {
        code: 2,
        err: /expected a time with its offset/,
      })
    t.match(await at('--call', 'x', '--at', '2027-03-27'), { code: 2, err: /a time of its own/ })
  },
)

void t.test('test runs the tests of all rule files, or of those given', async (t) => {
  const config = path.join(dir, 'sallyport.yaml')
  t.match(await run(['test', '--config', config]), {
    code: 0,
    out: /pass widgets .*2 tests.*\n2 of 2 tests passed\n/s,
  })
  const broken = t.testdir({
    'w.yaml': RULES.replace('allow read', 'allow traced'),
    'x.yaml': 'ruleset: [',
  })
  t.match(await run(['test', path.join(broken, 'w.yaml')]), {
    code: 1,
    out: /FAIL widgets .*w\.yaml:19\n {7}expected allow traced\n {7}got {6}allow read\n/s,
  })
  const why = (await run(['test', path.join(broken, 'w.yaml')])).out
  t.match(
    why,
    /\n {7}deny {2}widgets\/no-secrets {2}not by path .*\n {7}allow widgets\/read {2}matched .*\n {7}allow widgets\/traced {2}not by method .*\n1 of 2 tests passed\n$/,
    'and why',
  )
  const json = await run(['test', broken, '--json'])
  t.equal(json.code, 1)
  t.match(JSON.parse(json.out), {
    passed: 1,
    failed: 1,
    problems: [{ severity: 'error' }],
    ruleSets: [{ ruleset: 'widgets' }],
  })
})

void t.test(
  'R26: coverage names the rules that no test decides by, and may be asked for',
  async (t) => {
    const config = path.join(dir, 'sallyport.yaml')
    const covered = await run(['test', '--config', config, '--coverage'])
    t.equal(covered.code, 0)
    t.match(covered.out, /coverage 1 of 7 rules, 14%\n/)
    t.match(covered.out, /\n +0 {2}deny {2}no-secrets {2}no test calls it, 2 missed it\n/)
    t.match(covered.out, /\n +1 {2}allow read {2}1 missed it\n/)
    t.notMatch((await run(['test', '--config', config])).out, /coverage/)

    const few = await run(['test', '--config', config, '--min', '50'])
    t.match(few, { code: 1, out: /coverage 1 of 7 rules, 14%: less than 50%\n/ })
    t.match(await run(['test', '--config', config, '--min', '14']), { code: 0 })
    t.match(await run(['test', '--config', config, '--min', 'most']), {
      code: 2,
      err: /no percentage/,
    })

    const json = await run(['test', '--config', config, '--coverage', '--json'])
    t.match(JSON.parse(json.out), {
      ruleSets: [
        {
          coverage: {
            covered: 1,
            percent: 14,
            rules: [
              { id: 'no-secrets', verdict: 'deny', decided: {}, matched: 0, missed: 2 },
              { id: 'read', verdict: 'allow', decided: { allow: 1 }, matched: 1, missed: 1 },
              { id: 'traced', isCovered: false },
            ],
          },
        },
      ],
    })
  },
)

void t.test('a held call exits 3, and who answers and what it is bound to is told', async (t) => {
  const held = `  - id: pay
    hold: https://pay.test
    methods: [POST]
    paths: [/pay]
    reviewers: [ann, 'team:finance']
    separate: true
    accepts: internal
    limit: { bodyBytes: 1KiB, callsPerMinute: 2, callsPerDay: 9 }
`
  const own = t.testdir({
    'sallyport.yaml': CONFIGURATION,
    rules: { 'w.yaml': RULES.replace('tests:', `${held}tests:`) },
  })
  const ask = (method: string): Promise<Ran> =>
    run(['explain', method, 'https://pay.test/pay', '--config', path.join(own, 'sallyport.yaml')])
  const { code, out } = await ask('POST')
  t.equal(code, 3)
  t.equal(
    out.slice(0, out.indexOf('  deny')),
    `hold by widgets/pay approval-pending: a person has yet to approve this call
reviewers: ann, team:finance, not who owns or made the task
accepts: internal
body: 1024 bytes at the most
limit: callsPerMinute 2, callsPerDay 9 by widgets/pay
`,
  )
  t.match(await ask('GET'), { code: 1, out: /^deny method-not-allowed/ })
})
