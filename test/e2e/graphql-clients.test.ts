// GraphQL from outside: graphql-request and bare requests against a real server with a schema like GitHub's, through the real
// program. One path serves everything there; rules tell the operations and the fields apart.

import { createHash } from 'node:crypto'

import { GraphQLClient } from 'graphql-request'
import t, { type Test } from 'tap'

import { GRAPHQL_PATH, startGraphql } from '../fixtures/graphql-upstream.ts'
import { proxiedFetch, type ProxiedFetch } from '../fixtures/proxy-fetch.ts'
import { pki, ruleSet, scenario, type Scenario } from '../fixtures/scenario.ts'

const server = await startGraphql(pki.issue({ names: ['graph.test'] }))
t.teardown(() => server.close())
const host = `graph.test:${server.port}`
const url = `https://${host}${GRAPHQL_PATH}`
const JSON_TYPE = { 'content-type': 'application/json' }
const GRANT = 'graphql: { operations: [query], fields: [repository.issues] }'
const ISSUES = '{ repository(owner: "acme", name: "widgets") { issues { nodes { title } } } }'
const OTHERS = '{ repository(owner: "acme", name: "widgets") { collaborators { login } } }'
const COMMENT = 'mutation { addComment(subject: "I1", body: "x") { comment { id } } }'

/** A scenario whose rule has these keys. */
function graph(
  title: string,
  keys: string,
  body: (cx: Scenario, t: Test, through: ProxiedFetch) => Promise<void>,
): void {
  const rule = `id: graph, allow: 'https://${host}', paths: [${GRAPHQL_PATH}], ${keys === '' ? '' : `${keys}, `}addresses: [127.0.0.0/8]`
  scenario(t, title, { hosts: ['graph.test'], rules: ruleSet(rule) }, async (cx, t) => {
    const through = proxiedFetch(cx)
    server.resolved.length = 0
    server.forget()
    try {
      await body(cx, t, through)
    } finally {
      await through.close()
    }
  })
}

/** Asks without a client. */
async function ask(
  through: ProxiedFetch,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const response = await through.fetch(url, {
    method: 'POST',
    headers: JSON_TYPE,
    body: textOf(body),
  })
  return { status: response.status, text: await response.text() }
}

const textOf = (body: unknown): string => (typeof body === 'string' ? body : JSON.stringify(body))

async function get(
  through: ProxiedFetch,
  parameters: Readonly<Record<string, string>>,
): Promise<{ status: number; text: string }> {
  const response = await through.fetch(`${url}?${new URLSearchParams(parameters).toString()}`)
  return { status: response.status, text: await response.text() }
}

graph('without a rule that looks inside, all of it works', '', async (_cx, t, through) => {
  const client = new GraphQLClient(url, { fetch: through.fetch })
  t.match(await client.request(ISSUES), { repository: { issues: { nodes: [{}] } } })
  t.match(await client.request(COMMENT), { addComment: { comment: { id: 'C1' } } })
  t.match(await client.request('{ __schema { queryType { name } } }'), { __schema: {} })
  t.match(await get(through, { query: ISSUES }), { status: 200, text: /It leaks/ })
  t.match(await client.batchRequests([{ document: ISSUES }, { document: OTHERS }]), [{}, {}])
})

graph(
  'the client reads the field that is allowed and is refused a mutation, another field and introspection',
  GRANT,
  async (cx, t, through) => {
    const client = new GraphQLClient(url, { fetch: through.fetch })
    t.match(await client.request(ISSUES), {
      repository: { issues: { nodes: [{ title: 'It leaks' }] } },
    })
    const inWords = `query Issues($owner: String!) {
      repository(owner: $owner, name: "widgets") { __typename issues { totalCount } }
    }`
    t.match(await client.request(inWords, { owner: 'acme' }), {
      repository: { issues: { totalCount: 1 } },
    })
    t.strictSame([...new Set(server.resolved)], ['repository', 'issues'])
    server.resolved.length = 0
    for (const document of [
      COMMENT,
      OTHERS,
      '{ viewer { login } }',
      '{ __schema { description } }',
    ])
      t.match(await refusalOf(client.request(document)), /403/, document)
    t.match(await refusalOf(client.request(OTHERS)), /operation-not-allowed/)
    t.strictSame(server.resolved, [], 'none of it was asked of the server')
    const allowed = await cx.record(
      ({ event, sallyport }) =>
        event.reason === 'allowed' && sallyport.content?.graphql !== undefined,
    )
    t.match(allowed.sallyport.content?.graphql?.operations, [/^query/])
    t.match(allowed.sallyport.content?.graphql?.fields.join(' '), /repository\.issues/)
    await cx.record(({ event }) => event.reason === 'operation-not-allowed')
  },
)

/** What the client shows of a refusal. */
async function refusalOf(asked: Promise<unknown>): Promise<string> {
  const error: unknown = await asked.catch((why: unknown) => why)
  return error instanceof Error ? `${error.message} ${JSON.stringify(error)}` : 'it was answered'
}

const EVASIONS: Readonly<Record<string, string>> = {
  'an alias on the field':
    '{ repository(owner: "a", name: "b") { issues: collaborators { login } } }',
  'an alias on the root': '{ issues: viewer { login } }',
  'a fragment':
    'query { repository(owner: "a", name: "b") { ...F } } fragment F on Repository { collaborators { login } }',
  'a fragment in a fragment':
    'query { repository(owner: "a", name: "b") { ...F } } fragment F on Repository { ...G } fragment G on Repository { collaborators { login } }',
  'an inline fragment':
    '{ repository(owner: "a", name: "b") { ... on Repository { collaborators { login } } } }',
  'an inline fragment without a type':
    '{ repository(owner: "a", name: "b") { ... @include(if: true) { collaborators { login } } } }',
  'a fragment on the root': 'query { ...F } fragment F on Query { viewer { login } }',
  'beside the allowed field':
    '{ repository(owner: "a", name: "b") { issues { totalCount } collaborators { login } } }',
  'a second operation': `query A { repository(owner: "a", name: "b") { issues { totalCount } } } ${COMMENT.replace('mutation', 'mutation B')}`,
  'behind a comment': '# query { repository }\n{ viewer { login } }',
  'behind a directive':
    '{ repository(owner: "a", name: "b") { collaborators @skip(if: false) { login } } }',
  'a BOM before a mutation': `\uFEFF${COMMENT}`,
  'an introspection by alias': '{ repository: __schema { description } }',
  'a field of the parent alone': '{ repository(owner: "a", name: "b") { id } }',
}

graph(
  'however the field is dressed, it is the schema’s name of it that counts',
  GRANT,
  async (_cx, t, through) => {
    for (const [name, query] of Object.entries(EVASIONS)) {
      const { status, text } = await ask(through, { query, operationName: undefined })
      t.equal(status, 403, name)
      t.match(text, /"reason":"operation-not-allowed"/, name)
      const named = await ask(through, { query, operationName: 'A' })
      t.equal(named.status, 403, `${name}, with the name of an operation`)
    }
    t.strictSame(server.resolved, [])
    for (const query of [
      '{ repository(owner: "a", name: "b") { collaborators: issues { totalCount } } }',
      'query { repository(owner: "a", name: "b") { ...F } } fragment F on Repository { issues { ...G } } fragment G on IssueConnection { nodes { title } }',
      '# mutation { addComment }\nquery collaborators { repository(owner: "mutation", name: "b") { issues { totalCount } } }',
    ])
      t.match(await ask(through, { query }), { status: 200, text: /"data"/ }, query)
  },
)

graph(
  'what cannot be read is refused: no GraphQL, no JSON, members twice, fragments in a ring, depth',
  GRANT,
  async (cx, t, through) => {
    const deep = `{ repository(owner: "a", name: "b") { issues { ${'nodes { '.repeat(5000)} id ${'} '.repeat(5000)} } } }`
    for (const [name, body] of [
      ['no JSON', 'query { viewer }'],
      ['no GraphQL', { query: '{ repository( }' }],
      ['no query', { variables: {} }],
      ['query twice', `{"query":${JSON.stringify(ISSUES)},"query":${JSON.stringify(COMMENT)}}`],
      [
        'query twice, spelled apart',
        `{"query":${JSON.stringify(ISSUES)},"\\u0071uery":${JSON.stringify(COMMENT)}}`,
      ],
      ['a ring', { query: 'query { ...F } fragment F on Query { ...F }' }],
      ['too deep', { query: deep }],
      ['a query that is no text', { query: [ISSUES] }],
    ] as const) {
      const { status, text } = await ask(through, body)
      t.ok([400, 403, 413].includes(status), `${name}: ${status}`)
      t.match(text, /"reason":"(malformed-body|body-too-large|operation-not-allowed)"/, name)
    }
    t.strictSame(server.resolved, [])
    t.match(await ask(through, { query: ISSUES }), { status: 200, text: /It leaks/ })
    await cx.record(({ event }) => event.reason === 'malformed-body')
  },
)

graph(
  'introspection is a switch of its own',
  `${GRANT.slice(0, -2)}, introspection: true }`,
  async (_cx, t, through) => {
    t.match(await ask(through, { query: '{ __schema { queryType { name } } }' }), {
      status: 200,
      text: /"Query"/,
    })
    t.match(await ask(through, { query: '{ __type(name: "Issue") { name } }' }), { status: 200 })
    t.match(await ask(through, { query: OTHERS }), { status: 403 })
  },
)

graph(
  'by GET and in batches it is judged the same; one that is refused refuses its batch',
  GRANT,
  async (_cx, t, through) => {
    t.match(await get(through, { query: ISSUES }), { status: 200, text: /It leaks/ })
    for (const query of [OTHERS, COMMENT]) {
      const { status, text } = await get(through, { query })
      t.equal(status, 403, query)
      t.match(text, /operation-not-allowed/)
    }
    t.notOk(server.resolved.includes('addComment'))
    server.resolved.length = 0
    const twice = `query=${encodeURIComponent(ISSUES)}&query=${encodeURIComponent(COMMENT)}`
    const response = await through.fetch(`${url}?${twice}`)
    t.ok([400, 403].includes(response.status), 'a parameter twice')
    await response.text()
    const both = await through.fetch(`${url}?query=${encodeURIComponent(ISSUES)}`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ query: COMMENT }),
    })
    t.ok([400, 403].includes(both.status), 'one in the query and another in the body')
    await both.text()
    t.match(await ask(through, [{ query: ISSUES }, { query: COMMENT }]), { status: 403 })
    t.match(await ask(through, [[{ query: COMMENT }]]), { status: /^40[03]$/ })
    t.strictSame(server.resolved, [])
    const client = new GraphQLClient(url, { fetch: through.fetch })
    t.match(await client.batchRequests([{ document: ISSUES }, { document: ISSUES }]), [{}, {}])
  },
)

graph(
  'a persisted query that nobody here has read is answered as unknown; sent with its words it is judged',
  GRANT,
  async (_cx, t, through) => {
    const extensionsOf = (query: string): object => ({
      persistedQuery: {
        version: 1,
        sha256Hash: createHash('sha256').update(query).digest('hex'),
      },
    })
    // The server has it from elsewhere; its words never passed here.
    const elsewhere = await fetchDirect(COMMENT, extensionsOf(COMMENT))
    t.match(elsewhere, /C1/)
    server.resolved.length = 0
    for (const query of [COMMENT, ISSUES])
      t.match(await ask(through, { extensions: extensionsOf(query) }), {
        status: 200,
        text: /PersistedQueryNotFound/,
      })
    t.match(await get(through, { extensions: JSON.stringify(extensionsOf(COMMENT)) }), {
      text: /PersistedQueryNotFound/,
    })
    t.strictSame(server.resolved, [], 'the server was asked for none of it')
    t.match(await ask(through, { query: ISSUES, extensions: extensionsOf(ISSUES) }), {
      status: 200,
      text: /It leaks/,
    })
    t.match(await ask(through, { query: COMMENT, extensions: extensionsOf(COMMENT) }), {
      status: 403,
    })
    t.notOk(server.resolved.includes('addComment'))
  },
)

/** Asks the server past the sidecar, as another of its clients. */
async function fetchDirect(query: string, extensions: object): Promise<string> {
  const { Agent, fetch } = await import('undici')
  const dispatcher = new Agent({ connect: { ca: pki.caPem, servername: 'graph.test' } })
  const response = await fetch(`https://127.0.0.1:${server.port}${GRAPHQL_PATH}`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: JSON.stringify({ query, extensions }),
    dispatcher,
  })
  const text = await response.text()
  await dispatcher.close()
  return text
}
