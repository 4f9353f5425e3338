// Rules that look inside calls: each key with what it allows, what it does not, and what the client is told.

import t, { type Test } from 'tap'

import type {
  Content,
  GitCommand,
  GitSubject,
  GraphqlOperation,
  ModelSubject,
} from '../../../src/policy/subject.ts'
import { connectTo, decisionOn, item, policyOf, verdictInside, verdictOn } from './ask.ts'

const rule = (keys: string, verdict = 'allow', id = 'r'): string =>
  `- id: ${id}\n  ${verdict}: https://a.test\n  ${keys.replaceAll('; ', '\n  ')}`
const ALL = rule('methods: [GET, POST]', 'allow', 'all')

const session: Content = { mcp: { kind: 'session', method: 'tools/list' } }
const sampling: Content = { mcp: { kind: 'other', method: 'sampling/createMessage' } }

/** Holds rows of keys, what was read, and the verdict against an allow of such keys, or such a deny beside a plain allow. */
const hold = (
  t: Test,
  verdict: 'allow' | 'deny',
  rows: readonly (readonly [keys: string, content: Content, expected: string])[],
): void => {
  for (const [keys, content, expected] of rows) {
    const text = verdict === 'allow' ? rule(keys) : `${ALL}\n${rule(keys, 'deny')}`
    t.equal(verdictInside(policyOf(text), content), expected, `${keys} ${JSON.stringify(content)}`)
  }
}

void t.test('R38: tools, resources and prompts are allowed by name, and by no other list', (t) => {
  const keys = 'tools: [list_*, get_issue]; resources: ["file:///work/*", "x:a/../b"]'
  hold(t, 'allow', [
    [keys, item('tools list_issues'), 'allow r'],
    [keys, item('tools get_issue'), 'allow r'],
    [keys, item('tools get_issues'), 'deny tool-not-allowed'],
    [keys, item('tools GET_ISSUE'), 'deny tool-not-allowed'],
    [keys, item('tools '), 'deny tool-not-allowed'],
    [keys, item('resources file:///work/a/b'), 'allow r'],
    [keys, item('resources file:///etc/passwd'), 'deny source-not-allowed'],
    [keys, item('resources get_issue'), 'deny source-not-allowed'],
    [keys, item('prompts get_issue'), 'deny source-not-allowed'],
    [keys, session, 'allow r'],
    [keys, sampling, 'deny operation-not-allowed'],
    ['prompts: [hello]', item('prompts hello'), 'allow r'],
    ['prompts: [hello]', item('tools hello'), 'deny tool-not-allowed'],
    ['tools: ["*"]', item('tools constructor'), 'allow r'],
    ['tools: ["*"]', sampling, 'deny operation-not-allowed'],
  ])
  t.end()
})

void t.test('R40: a `*` in a resource does not reach over dot segments', (t) => {
  const keys = 'resources: ["file:///work/*", "x:a/../b"]'
  hold(t, 'allow', [
    [keys, item('resources file:///work/a..b/.c'), 'allow r'],
    [keys, item('resources file:///work/../etc/passwd'), 'deny source-not-allowed'],
    [keys, item('resources file:///work/%2e%2E/etc'), 'deny source-not-allowed'],
    [keys, item('resources file:///work/%252e./etc'), 'deny source-not-allowed'],
    [keys, item('resources file:///work/..%2fetc'), 'deny source-not-allowed'],
    [keys, item('resources file:///work\\..\\etc'), 'deny source-not-allowed'],
    [keys, item('resources file:///work/..'), 'deny source-not-allowed'],
    [keys, item('resources x:a/../b'), 'allow r'],
  ])
  const deny = 'resources: ["file:///etc/*"]'
  hold(t, 'deny', [
    [deny, item('resources file:///work/a'), 'allow all'],
    [deny, item('resources file:///etc/passwd'), 'deny denied-by-rule'],
    [deny, item('resources file:///work/../etc/passwd'), 'deny denied-by-rule'],
  ])
  t.end()
})

void t.test('R38: a deny of tools matches without case, and nothing but them', (t) => {
  const keys = 'tools: [delete_*]'
  hold(t, 'deny', [
    [keys, item('tools delete_repo'), 'deny denied-by-rule'],
    [keys, item('tools Delete_Repo'), 'deny denied-by-rule'],
    [keys, item('tools get_issue'), 'allow all'],
    [keys, item('prompts delete_repo'), 'allow all'],
    [keys, session, 'allow all'],
    [keys, sampling, 'allow all'],
    [keys, {}, 'allow all'],
  ])
  t.end()
})

const asked = (subject: Partial<ModelSubject> = {}): Content => ({
  model: {
    operation: 'chat',
    model: 'gpt-5',
    hasOutput: true,
    maxTokens: undefined,
    serverTools: [],
    ...subject,
  },
})

void t.test('models, tokens of output and server tools are limited', (t) => {
  const some = 'serverTools: ["web_search_*"]'
  const tools = (...serverTools: string[]): Content => asked({ serverTools })
  hold(t, 'allow', [
    ['models: [gpt-5*]', asked(), 'allow r'],
    ['models: [gpt-5*]', asked({ model: 'gpt-5-mini' }), 'allow r'],
    ['models: [gpt-5*]', asked({ model: 'o3' }), 'deny operation-not-allowed'],
    ['models: ["*"]', asked({ model: undefined }), 'deny operation-not-allowed'],
    ['models: [gpt-5*]', tools('code_interpreter'), 'allow r'],
    ['maxTokens: 100', asked({ maxTokens: 100 }), 'allow r'],
    ['maxTokens: 100', asked({ maxTokens: 101 }), 'deny operation-not-allowed'],
    ['maxTokens: 100', asked({ maxTokens: NaN }), 'deny operation-not-allowed'],
    ['maxTokens: 100', asked({ maxTokens: -1 }), 'deny operation-not-allowed'],
    ['maxTokens: 100', asked(), 'deny operation-not-allowed'],
    ['maxTokens: 100', asked({ hasOutput: false }), 'allow r'],
    ['serverTools: false', asked(), 'allow r'],
    ['serverTools: false', tools('web_search_20250305'), 'deny operation-not-allowed'],
    ['serverTools: true', tools('web_search_20250305'), 'allow r'],
    [some, tools('web_search_20250305'), 'allow r'],
    [some, tools('web_search_20250305', 'code_execution'), 'deny operation-not-allowed'],
    ['models: [gpt-5]; maxTokens: 5; serverTools: false', asked({ maxTokens: 5 }), 'allow r'],
  ])
  hold(t, 'deny', [
    ['models: [GPT-5*]', asked(), 'deny denied-by-rule'],
    ['models: [o3]', asked(), 'allow all'],
    ['models: [o3]', asked({ model: undefined }), 'deny denied-by-rule'],
    ['serverTools: true', asked({ model: undefined }), 'allow all'],
    ['serverTools: true', asked(), 'allow all'],
    ['serverTools: true', tools('web_fetch'), 'deny denied-by-rule'],
    [some, tools('Web_Search_1'), 'deny denied-by-rule'],
    [some, tools('code_execution'), 'allow all'],
    ['models: [o3]; serverTools: true', tools('web_fetch'), 'deny denied-by-rule'],
  ])
  t.end()
})

const operation = (
  type: GraphqlOperation['type'],
  fields: string,
  introspection = false,
): GraphqlOperation => ({
  type,
  fields: fields === '' ? [] : fields.split(' ').map((path) => path.split('.')),
  introspection,
})
const graphql = (...operations: GraphqlOperation[]): Content => ({ graphql: { operations } })
const ISSUES = 'repository repository.issues repository.issues.nodes repository.issues.nodes.title'

void t.test('GraphQL is allowed by operation and by field', (t) => {
  const fields = 'graphql: { operations: [query], fields: [repository.issues, viewer.login] }'
  const no = 'deny operation-not-allowed'
  hold(t, 'allow', [
    [fields, graphql(operation('query', ISSUES)), 'allow r'],
    [fields, graphql(operation('query', `${ISSUES} viewer viewer.login`)), 'allow r'],
    [fields, graphql(operation('mutation', ISSUES)), no],
    [fields, graphql(operation('query', `${ISSUES} repository.name`)), no],
    [fields, graphql(operation('query', 'repository')), no],
    [fields, graphql(operation('query', `viewer ${ISSUES}`)), no],
    [fields, graphql(operation('query', 'Repository Repository.issues')), no],
    [fields, graphql(operation('query', 'repository repository.issuesX')), no],
    [fields, graphql(operation('query', ISSUES), operation('query', 'user')), no],
    [fields, graphql(operation('query', '')), 'allow r'],
    [fields, graphql(), no],
    ['graphql: {}', graphql(operation('mutation', 'deleteRef')), 'allow r'],
    ['graphql: {}', graphql(operation('query', '__schema', true)), no],
    ['graphql: { introspection: true }', graphql(operation('query', '__schema', true)), 'allow r'],
    ['graphql: { fields: ["*.issues"] }', graphql(operation('query', ISSUES)), 'allow r'],
    ['graphql: { fields: ["*.name"] }', graphql(operation('query', ISSUES)), no],
    [
      'graphql: { fields: ["repository.issues.*"] }',
      graphql(operation('query', ISSUES)),
      'allow r',
    ],
    [
      'graphql: { fields: ["repository.issues.*"] }',
      graphql(operation('query', 'repository repository.issues')),
      no,
    ],
    [
      'graphql: { fields: [repository.issues], introspection: true }',
      graphql(operation('query', `${ISSUES} __schema __schema.types`, true)),
      'allow r',
    ],
  ])
  t.end()
})

void t.test('a deny of GraphQL matches any operation that asks for what is listed', (t) => {
  const read = operation('query', ISSUES)
  const write = operation('mutation', 'deleteRef deleteRef.clientMutationId')
  const look = operation('query', '__schema __schema.types', true)
  const no = 'deny denied-by-rule'
  hold(t, 'deny', [
    ['graphql: { operations: [mutation] }', graphql(read), 'allow all'],
    ['graphql: { operations: [mutation] }', graphql(read, write), no],
    ['graphql: { fields: [repository.issues.nodes] }', graphql(read), no],
    ['graphql: { fields: [repository.name] }', graphql(read), 'allow all'],
    ['graphql: { operations: [mutation], fields: ["repository"] }', graphql(read), 'allow all'],
    ['graphql: { operations: [mutation], fields: ["delete"] }', graphql(write), 'allow all'],
    ['graphql: { operations: [mutation], fields: [deleteRef] }', graphql(write), no],
    ['graphql: { introspection: true }', graphql(read, write), 'allow all'],
    ['graphql: { introspection: true }', graphql(look), no],
    ['graphql: { operations: [mutation], introspection: true }', graphql(look), no],
    ['graphql: {}', graphql(read), no],
    ['graphql: { operations: [mutation] }', graphql(), no],
  ])
  t.end()
})

const git = (repo: string, ...commands: GitCommand[]): Content => ({
  git: { repo, service: commands.length > 0 ? 'receive-pack' : 'upload-pack', commands },
})
const advertise = (repo: string): Content => ({
  git: { repo, service: 'receive-pack', commands: [] } satisfies GitSubject,
})
const change = (
  ref: string,
  kind: GitCommand['change'],
  update?: GitCommand['update'],
): GitCommand => ({
  ref,
  change: kind,
  ...(update && { update }),
})
const AGENT = 'refs/heads/agent/fix'

void t.test(
  'R40: git is allowed by repository, reference and whether commits are taken away',
  (t) => {
    const read = 'git: { repos: [acme/widgets] }'
    const push = 'git: { repos: [acme/widgets], push: ["refs/heads/agent/*"] }'
    const force = 'git: { repos: [acme/widgets], push: ["refs/heads/agent/*"], force: true }'
    const create = change(AGENT, 'create')
    const repo = 'acme/widgets'
    hold(t, 'allow', [
      [read, git(repo), 'allow r'],
      [read, git('acme/other'), 'deny source-not-allowed'],
      [read, git('Acme/Widgets'), 'deny source-not-allowed'],
      [read, advertise(repo), 'deny ref-not-allowed'],
      [read, git(repo, create), 'deny ref-not-allowed'],
      [push, git(repo), 'allow r'],
      [push, advertise(repo), 'allow r'],
      [push, git(repo, create), 'allow r'],
      [push, git(repo, change('refs/heads/main', 'create')), 'deny ref-not-allowed'],
      [push, git(repo, create, change('refs/tags/v1', 'create')), 'deny ref-not-allowed'],
      [push, git(repo, change(AGENT, 'update', 'fast-forward')), 'allow r'],
      [push, git(repo, change(AGENT, 'update', 'unproven')), 'deny ref-not-allowed'],
      [push, git(repo, change(AGENT, 'update')), 'deny ref-not-allowed'],
      [push, git(repo, change(AGENT, 'delete')), 'deny ref-not-allowed'],
      [force, git(repo, change(AGENT, 'update', 'unproven')), 'allow r'],
      [force, git(repo, change(AGENT, 'delete')), 'allow r'],
      [force, git(repo, change('refs/heads/main', 'delete')), 'deny ref-not-allowed'],
      ['git: {}', git('any/thing'), 'allow r'],
      ['git: {}', git('any/thing', create), 'deny ref-not-allowed'],
    ])
    hold(t, 'deny', [
      ['git: {}', git(repo), 'deny denied-by-rule'],
      ['git: { repos: [ACME/*] }', git(repo), 'deny denied-by-rule'],
      ['git: { repos: [acme/other] }', git(repo), 'allow all'],
      ['git: { push: [refs/heads/main] }', git(repo, create), 'allow all'],
      [
        'git: { push: [refs/heads/main] }',
        git(repo, create, change('refs/heads/Main', 'create')),
        'deny denied-by-rule',
      ],
      ['git: { push: [refs/heads/main] }', advertise(repo), 'allow all'],
      ['git: { force: true }', git(repo, create), 'allow all'],
      ['git: { force: true }', git(repo, change(AGENT, 'delete')), 'deny denied-by-rule'],
      ['git: { force: true }', git(repo, change(AGENT, 'update')), 'deny denied-by-rule'],
      [
        'git: { repos: [acme/other], force: true }',
        git(repo, change(AGENT, 'delete')),
        'allow all',
      ],
    ])
    t.end()
  },
)

void t.test('parameters stand in the keys that look inside', (t) => {
  const file = `ruleset: x
params: { repo: { pattern: '.*' }, tool: { pattern: '.*' } }
rules:
  - { id: git, allow: https://a.test/g, git: { repos: ['{repo}'], push: ['refs/heads/{tool}/*'] } }
  - { id: mcp, allow: https://a.test/m, tools: ['{tool}_*'] }`
  const policy = policyOf(file, { params: { repo: 'acme/w', tool: 'a*' } })
  const on = (content: Content, path: string): string =>
    verdictInside(policy, content, `POST https://a.test/${path}`)
  t.equal(on(git('acme/w'), 'g'), 'allow git')
  t.equal(on(git('acme/v'), 'g'), 'deny source-not-allowed')
  t.equal(on(git('acme/w', change('refs/heads/a*/x', 'create')), 'g'), 'allow git')
  t.equal(on(item('tools a*_x'), 'm'), 'allow mcp')
  t.equal(on(item('tools ab_x'), 'm'), 'deny tool-not-allowed', 'a value stands for itself')
  t.end()
})

void t.test(
  'R38: by the head alone a rule that looks inside allows, and says what to read',
  (t) => {
    const some = `${rule('tools: [a]; methods: [POST]')}\n${rule('graphql: {}; paths: [/g]', 'allow', 'g')}`
    const on = (yaml: string, call: string, always: string[] = []): unknown => {
      const { verdict, inspectors } = decisionOn(policyOf(yaml, { always }), call)
      return inspectors ? [verdict, ...inspectors] : verdict
    }
    t.same(on(some, 'POST https://a.test/'), ['allow', 'mcp'])
    t.same(on(some, 'POST https://a.test/g'), ['allow', 'mcp', 'graphql'])
    t.same(on(some, 'GET https://a.test/g'), ['allow', 'graphql'])
    t.same(on(some, 'GET https://a.test/'), 'deny', 'the head is enough')
    t.same(on(`${ALL}\n${rule('models: [x]', 'deny')}`, 'GET https://a.test/'), ['allow', 'model'])
    t.same(on(`${ALL}\n${rule('git: {}; observe: true')}`, 'GET https://a.test/'), ['allow', 'git'])
    t.same(on(ALL, 'GET https://a.test/', [rule('tools: [a]')]), ['allow', 'mcp'], 'a guard')
    t.same(on(`${ALL}\n${rule('tools: [a]; methods: [PUT]')}`, 'GET https://a.test/'), 'allow')
    t.same(on(`${ALL}\n${rule('tools: [a]; environment: x')}`, 'GET https://a.test/'), 'allow')
    t.same(on(ALL, 'GET https://a.test/'), 'allow')
    const range = '- id: lan\n  deny: { cidr: 10.0.0.0/8 }\n  tools: [a]'
    t.same(on(`${ALL}\n${range}`, 'GET https://a.test/'), ['allow', 'mcp'], 'it may resolve there')
    const read = decisionOn(policyOf(some), 'POST https://a.test/', [], session)
    t.equal(read.inspectors, undefined, 'no more is to be read')
    t.end()
  },
)

void t.test('R38: what is of another kind is told so, and a plain allow takes it', (t) => {
  const mcp = policyOf(rule('tools: [a]'))
  t.equal(verdictInside(mcp, {}), 'deny protocol-not-allowed')
  t.equal(verdictInside(mcp, asked()), 'deny protocol-not-allowed')
  t.equal(
    verdictInside(policyOf(rule('graphql: {}')), item('tools a')),
    'deny protocol-not-allowed',
  )
  t.equal(verdictInside(policyOf(`${rule('tools: [a]')}\n${ALL}`), item('tools b')), 'allow all')
  const both = policyOf(`${rule('graphql: {}')}\n${rule('tools: [a]', 'allow', 'm')}`)
  t.equal(verdictInside(both, item('tools b')), 'deny tool-not-allowed', 'the nearer of two')
  const repos = policyOf(
    `${rule('git: { repos: [x] }')}\n${rule('git: { repos: [y] }', 'allow', 'y')}`,
  )
  t.equal(verdictInside(repos, git('z')), 'deny source-not-allowed')
  t.equal(verdictInside(repos, git('y', change('r', 'create'))), 'deny ref-not-allowed')
  const elsewhere = policyOf(rule('tools: [a]; environment: prod'), { environment: 'dev' })
  t.equal(verdictInside(elsewhere, item('tools a')), 'deny environment-mismatch')
  t.end()
})

void t.test('what could not be understood meets no allow and every deny', (t) => {
  const fault: Content = { fault: 'malformed-body' }
  const large: Content = { fault: 'body-too-large', mcp: { kind: 'session', method: 'ping' } }
  const allow = policyOf(rule('tools: ["*"]'))
  const deny = policyOf(`${ALL}\n${rule('tools: [a]', 'deny', 'd')}`)
  t.equal(verdictInside(allow, fault), 'deny malformed-body')
  t.equal(verdictInside(allow, large), 'deny body-too-large')
  t.equal(verdictInside(deny, fault), 'deny malformed-body')
  t.equal(verdictInside(deny, large), 'deny body-too-large')
  t.equal(verdictInside(policyOf(ALL), fault), 'allow all', 'no rule looks inside')
  t.equal(verdictInside(policyOf(`${rule('tools: [a]')}\n${ALL}`), fault), 'allow all')
  const both = policyOf(`${ALL}\n${rule('tools: [a]', 'deny', 'd')}\n${rule('', 'deny', 'plain')}`)
  const decision = decisionOn(both, 'POST https://a.test/', [], fault)
  t.match(decision, { reason: 'denied-by-rule', rule: { id: 'plain' } }, 'it is denied anyhow')
  t.end()
})

void t.test(
  'R38: nobody looks into a WebSocket, and a tunnel is decided by what is inside',
  (t) => {
    const wss = '- id: w\n  allow: wss://a.test'
    const call = 'GET wss://a.test/'
    t.equal(verdictOn(policyOf(wss), call), 'allow w')
    t.equal(verdictOn(policyOf(`${wss}\n  tools: ["*"]`), call), 'deny protocol-not-allowed')
    t.equal(
      verdictOn(policyOf(`${wss}\n${rule('tools: [x]', 'deny')}`), call),
      'deny denied-by-rule',
    )
    t.equal(
      verdictOn(policyOf(`${wss}\n${rule('tools: [x]', 'deny')}`), 'GET https://a.test/'),
      'allow w',
    )
    t.match(connectTo(policyOf(rule('tools: [x]')), 'a.test:443'), {
      verdict: 'allow',
      mode: 'inspect',
    })
    const denied = policyOf(`- id: t\n  allow: tls://a.test\n${rule('tools: [x]', 'deny')}`)
    t.equal(connectTo(denied, 'a.test:443').reason, 'denied-by-rule')
    const inside = policyOf(`${ALL}\n${rule('tools: [x]', 'deny')}`)
    t.equal(connectTo(inside, 'a.test:443').verdict, 'allow')
    t.end()
  },
)

void t.test('R80: what looks inside may be observed', (t) => {
  const on = (yaml: string, content: Content): unknown => {
    const { verdict, wouldDeny, reason } = decisionOn(
      policyOf(yaml),
      'POST https://a.test/',
      [],
      content,
    )
    return verdict === 'allow' ? wouldDeny : `deny ${reason}`
  }
  const seen = `${rule('tools: [a]')}\n${rule('tools: ["*"]; observe: true', 'allow', 'o')}`
  t.equal(on(seen, item('tools a')), undefined)
  t.equal(on(seen, item('tools b')), 'tool-not-allowed')
  t.equal(on(seen, sampling), 'deny operation-not-allowed')
  t.equal(on(seen, {}), 'deny protocol-not-allowed')
  const watched = `${ALL}\n${rule('tools: [b]; observe: true', 'deny', 'w')}`
  t.equal(on(watched, item('tools a')), undefined)
  t.equal(on(watched, item('tools b')), 'denied-by-rule')
  t.equal(on(watched, { fault: 'malformed-body' }), 'malformed-body')
  t.end()
})

void t.test('the smallest pack, the fullest record and all pins are owed', (t) => {
  const one = `sha256:${'1'.repeat(64)}`
  const two = `sha256:${'2'.repeat(64)}`
  const owed = (yaml: string, content: Content, always: string[] = []): unknown =>
    decisionOn(policyOf(yaml, { always }), 'POST https://a.test/', [], content).obligations
  const small = rule('git: { maxPackBytes: 1KiB }', 'allow', 's')
  t.match(owed(rule('git: { maxPackBytes: 2KiB }'), git('x')), { maxPackBytes: 2048 })
  t.match(owed(`${rule('git: { maxPackBytes: 2KiB }')}\n${small}`, git('x')), {
    maxPackBytes: 1024,
  })
  t.match(owed(ALL, git('x'), [small]), { maxPackBytes: 1024 }, 'a guard')
  t.notHas(owed(ALL, session, [small]), { maxPackBytes: 1024 }, 'of another kind')
  const record = (keys: string, id: string): string => rule(`record: ${keys}`, 'allow', id)
  t.match(
    owed(
      `${record('{ prompts: full }', 'a')}\n${record('{ prompts: off, tools: digest }', 'b')}`,
      {},
    ),
    { record: { prompts: 'full', tools: 'digest' } },
  )
  t.notHas(owed(ALL, {}), { record: {} })
  const pin = (digest: string, tool: string, id: string): string =>
    rule(`tools: ["*"]; pin: { ${tool}: '${digest}' }`, 'allow', id)
  t.strictSame(
    owed([pin(one, 'x', 'a'), pin(two, 'x', 'b'), pin(two, 'y', 'c')].join('\n'), item('tools x')),
    {
      clientAuth: 'drop',
      placeholderInBody: 'pass',
      pins: new Map([
        ['y', two],
        ['x', one],
      ]),
    },
  )
  t.end()
})

void t.test('a range is dialed, or not, by what is inside the call', (t) => {
  const lan = '- id: lan\n  deny: { cidr: 10.0.0.0/8 }\n  tools: [a]'
  const literal = '- id: ip\n  allow: https://192.0.2.1\n  tools: [a]'
  const addresses = (yaml: string, content?: Content): string[][] => {
    const { allowed, denied } = decisionOn(
      policyOf(yaml),
      'POST https://a.test/',
      [],
      content,
    ).addresses
    return [allowed, denied].map((ranges) => ranges.map(({ text }) => text))
  }
  t.same(addresses(`${ALL}\n${lan}`, item('tools a')), [[], ['10.0.0.0/8']])
  t.same(addresses(`${ALL}\n${lan}`, item('tools b')), [[], []])
  t.same(addresses(`${ALL}\n${literal}`, item('tools a')), [['192.0.2.1/32'], []])
  t.same(addresses(`${ALL}\n${literal}`, item('tools b')), [[], []])
  t.same(addresses(`${ALL}\n${literal}`), [[], []], 'nobody looked')
  t.end()
})
