// What GraphQL requests ask for, read from their bytes; GitHub's API is the example.

import { createHash } from 'node:crypto'

import {
  array,
  assert,
  constant,
  constantFrom,
  integer,
  letrec,
  oneof,
  property,
  tuple,
  type Arbitrary,
} from 'fast-check'
import { buildSchema, executeSync, parse } from 'graphql'
import { GraphQLClient } from 'graphql-request'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import {
  persistedQueryNotFound,
  readGraphql,
  type GraphqlReading,
} from '../../../src/inspect/graphql/read.ts'
import type { GraphqlOperation } from '../../../src/policy/subject.ts'

const JSON_TYPE = ['Content-Type', 'application/json']

interface Sent {
  readonly method?: string
  readonly query?: string
  readonly headers?: readonly string[]
  readonly body?: string | Uint8Array
}

const read = ({ method = 'POST', query, headers = JSON_TYPE, body }: Sent): GraphqlReading =>
  readGraphql({ method, query, headers }, typeof body === 'string' ? Buffer.from(body) : body)

const post = (value: unknown): Sent => ({ body: JSON.stringify(value) })
const ask = (query: string): Sent => post({ query })
const get = (query: string): Sent => ({ method: 'GET', query, headers: [] })
const escaped = (query: string): Sent => get(`query=${encodeURIComponent(query)}`)

/** `type field.field …` of each operation, `!` behind the type where it is introspection. */
function tell(sent: Sent): string[] {
  const reading = read(sent)
  return 'unknownDocument' in reading
    ? ['unknown']
    : reading.subject.operations.map(
        ({ type, fields, introspection }) =>
          `${type}${introspection ? '!' : ''} ${fields.map((path) => path.join('.')).join(' ')}`,
      )
}

function refusalOf(sent: Sent): string | undefined {
  try {
    read(sent)
    return undefined
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const { part, why } = error.detail
    return `${error.reason} ${part === 'graphql' ? '' : `${part} `}${why}`
  }
}

const ISSUES = `
  query Issues($owner: String!, $name: String!) {
    repository(owner: $owner, name: $name) {
      issues(first: 20, states: [OPEN], orderBy: { field: CREATED_AT, direction: DESC }) {
        nodes { number title author { login } ... on Query { id } }
        pageInfo { hasNextPage endCursor }
      }
    }
    rateLimit { remaining }
    __typename
  }`
const ISSUES_TOLD =
  'query rateLimit rateLimit.remaining repository repository.issues repository.issues.nodes ' +
  'repository.issues.nodes.author repository.issues.nodes.author.login repository.issues.nodes.id ' +
  'repository.issues.nodes.number repository.issues.nodes.title repository.issues.pageInfo ' +
  'repository.issues.pageInfo.endCursor repository.issues.pageInfo.hasNextPage'
const COMMENT = `
  mutation Comment($id: ID!, $body: String!) {
    addComment(input: { subjectId: $id, body: $body }) { commentEdge { node { url } } }
  }`
const COMMENT_TOLD =
  'mutation addComment addComment.commentEdge addComment.commentEdge.node addComment.commentEdge.node.url'

void t.test("GitHub's issues and comments are told by their fields", (t) => {
  t.strictSame(tell(post({ query: ISSUES, variables: { owner: 'acme', name: 'widgets' } })), [
    ISSUES_TOLD,
  ])
  t.strictSame(tell(post({ query: COMMENT, operationName: 'Comment', variables: null })), [
    COMMENT_TOLD,
  ])
  t.strictSame(tell(escaped(ISSUES)), [ISSUES_TOLD])
  t.end()
})

void t.test('the record names operations and fields, what is close to the root first', (t) => {
  const reading = read(ask(`${ISSUES} ${COMMENT} subscription { a } { b }`))
  const { operations, fields } = ('fields' in reading && reading.fields.content?.graphql) || {
    operations: [],
    fields: [],
  }
  t.strictSame(operations, ['query Issues', 'mutation Comment', 'subscription', 'query'])
  t.strictSame(fields.slice(0, 6), [
    'rateLimit',
    'repository',
    'addComment',
    'a',
    'b',
    'rateLimit.remaining',
  ])
  t.end()
})

void t.test('the record is bounded whatever is asked', (t) => {
  const many = Array.from({ length: 500 }, (_, at) => `f${at}`).join(' ')
  const operations = Array.from({ length: 100 }, (_, at) => `query Q${at} { ${'x'.repeat(300)} }`)
  const reading = read(ask(`{ ${many} } ${operations.join(' ')}`))
  if (!('fields' in reading)) throw new Error('not read')
  const kept = reading.fields.content?.graphql
  t.equal(kept?.operations.length, 64)
  t.equal(kept?.fields.length, 64)
  t.ok(kept?.fields.every(({ length }) => length <= 256))
  t.equal(reading.subject.operations.length, 101)
  t.end()
})

// What is asked for in other words.
const WORDS: readonly (readonly [what: string, document: string, told: readonly string[]])[] = [
  ['an alias', '{ issues: deleteAll { ok: id } }', ['query deleteAll deleteAll.id']],
  ['two aliases of one field', '{ a: x { y } b: x { z } }', ['query x x.y x.z']],
  ['a fragment', '{ ...F } fragment F on Query { viewer { login } }', ['query viewer viewer.login']],
  ['a fragment on an interface', '{ node(id: 1) { ... on Issue { title } ...F } } fragment F on Query { id }', ['query node node.id node.title']],
  ['an inline fragment on the root', '{ ... on Query { viewer { login } } ... { a } }', ['query a viewer viewer.login']],
  ['fragments within fragments', 'mutation { ...A } fragment A on Mutation { x { ...B } ...C } fragment B on X { y } fragment C on Mutation { z }', ['mutation x x.y z']],
  ['the same fragment in two places', '{ a { ...F } b { ...F } } fragment F on T { c { d } }', ['query a a.c a.c.d b b.c b.c.d']],
  ['several operations', 'query A { a } mutation B { b } subscription C { c }', ['query a', 'mutation b', 'subscription c']],
  ['a fragment nobody spreads', '{ a } fragment F on Query { secret }', ['query a']],
  ['comments and commas', ',,{ #{ secret }\r a,#\n,b, }#', ['query a b']],
  ['a mutation behind a line break within a comment', '{ a } # \r mutation { b }', ['query a', 'mutation b']],
  ['byte order marks', '\uFEFF{ a\uFEFFb }', ['query a b']],
  ['strings with braces', '{ a(x: "} mutation { b }") }', ['query a']],
  ['block strings', '{ a(x: """ " } mutation { b } \\""" """) }', ['query a']],
  ['directives', 'query @d { a @skip(if: true) { b @include(if: false) } ...F @skip(if: true) } fragment F on Query { c }', ['query a a.b c']],
  ['a field named as a keyword', '{ query mutation fragment on: true null }', ['query fragment mutation null query true']],
  ['two fields for two types', '{ node { ... on A { x: name } ... on B { x: title } } }', ['query node node.name node.title']],
  ['a field below the name of the type', '{ __typename { a } }', ['query __typename.a']],
  ['the name of the type', '{ __typename a { __typename kind: __typename } }', ['query a']],
  ['introspection', '{ __schema { types { name } } }', ['query! __schema __schema.types __schema.types.name']],
  ['introspection of a type by another name', '{ a: __type(name: "T") { name } }', ['query! __type __type.name']],
  ['introspection in a fragment', '{ a ...F } fragment F on Query { ... { __schema { queryType { name } } } }', ['query! __schema __schema.queryType __schema.queryType.name a']],
  ['introspection further in', '{ viewer { query { __type(name: "T") { name } } } }', ['query! viewer viewer.query viewer.query.__type viewer.query.__type.name']],
  ['a field that looks like it', '{ _schema schema__ type }', ['query _schema schema__ type']],
] // prettier-ignore

for (const [what, document, told] of WORDS)
  void t.test(`${what}: the fields of the schema are told`, (t) => {
    t.strictSame(tell(ask(document)), told)
    t.strictSame(tell({ headers: ['content-type', 'application/graphql'], body: document }), told)
    t.strictSame(tell(escaped(document)), told)
    t.end()
  })

const chain = (length: number, of: (at: number) => string): string =>
  Array.from({ length }, (_, at) => of(at)).join(' ')
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const withHash = (sha256Hash: string, more: object): Sent =>
  post({ ...more, extensions: { persistedQuery: { version: 1, sha256Hash } } })
const typed = (type: string, body = '{"query":"{a}"}'): Sent => ({
  headers: ['Content-Type', type],
  body,
})

// What is refused, with which words, and what is close to it and is not.
const REFUSED: readonly (readonly [what: string, refused: Sent, why: string, twin: Sent])[] = [
  // documents
  ['no GraphQL', ask('{ a'), 'malformed-body syntax', ask('{ a }')],
  ['an empty selection', ask('{ }'), 'malformed-body syntax', ask('{ a }')],
  ['fragments alone', ask('fragment F on Query { a }'), 'malformed-body no operation', ask('{ ...F } fragment F on Query { a }')],
  ['definitions of types', ask('{ a } type T { b: Int }'), 'malformed-body definition', ask('{ a } query T { b }')],
  ['an unknown fragment', ask('{ a ...G } fragment F on Query { a }'), 'malformed-body unknown fragment', ask('{ a ...F } fragment F on Query { a }')],
  ['an unknown fragment in one that nobody spreads', ask('{ a } fragment F on Query { b { ...G } }'), 'malformed-body unknown fragment', ask('{ a } fragment F on Query { b }')],
  ['a fragment twice', ask('{ ...F } fragment F on Query { a } fragment F on Query { b }'), 'malformed-body repeated fragment', ask('{ ...F ...G } fragment F on Query { a } fragment G on Query { b }')],
  ['a fragment within itself', ask('{ ...F } fragment F on Query { a { ...F } }'), 'malformed-body fragment cycle', ask('{ ...F } fragment F on Query { a { b } }')],
  ['fragments in a ring', ask('{ ...F } fragment F on Q { ...G } fragment G on Q { ... { ...H } } fragment H on Q { ...F }'), 'malformed-body fragment cycle', ask('{ ...F } fragment F on Q { ...G ...H } fragment G on Q { ... { ...H } } fragment H on Q { a }')],
  ['a ring that nobody spreads', ask('{ a } fragment F on Q { ...G } fragment G on Q { ...F }'), 'malformed-body fragment cycle', ask('{ a } fragment F on Q { ...G } fragment G on Q { b }')],
  ['an odd line end in a comment', ask('{ a } #\u2028 mutation { b }'), 'malformed-body comment', ask('{ a(x: "\u2028") } #')],
  ['a NUL in a comment', ask('{ a } #\0'), 'malformed-body comment', ask('{ a } #')],
  ['a NUL', ask('{ a\0 }'), 'malformed-body syntax', ask('{ a }')],
  ['two fields with fields below and one name in the answer', ask('{ x: a { b } x: c { d } }'), 'malformed-body field conflict', ask('{ x: a { b } y: c { d } }')],
  ['the same by a fragment', ask('{ x: a { b } ...F } fragment F on Query { x: c }'), 'malformed-body field conflict', ask('{ x: a { b } ...F } fragment F on Query { x: a }')],
  ['the same in another order', ask('{ ...F x: a x: a { b } } fragment F on Query { x: c }'), 'malformed-body field conflict', ask('{ ...F x: a x: b } fragment F on Query { x: c }')],
  ['the same with the name of the type', ask('{ a: __typename a { b } }'), 'malformed-body field conflict', ask('{ b: __typename a { b } }')],
  ['the same further in', ask('{ a { x: b } a { x: c { d } } }'), 'malformed-body field conflict', ask('{ p: a { x: b } q: a { x: c { d } } }')],
  // bounds
  ['a large document', ask(`{ a(x: "${'x'.repeat(256 * 1024)}") }`), 'body-too-large document', post({ query: '{ a(x: $x) }', variables: { x: 'x'.repeat(256 * 1024) } })],
  ['many tokens', ask(`{ ${'a '.repeat(20_001)} }`), 'body-too-large tokens', ask(`{ ${'a '.repeat(19_000)} }`)],
  ['many comments', ask(`{ a } ${'#\n'.repeat(20_001)}`), 'body-too-large tokens', ask(`{ a } #${'x'.repeat(20_001)}`)],
  ['many fields', ask(`{ ${chain(10_001, (at) => `f${at}`)} }`), 'body-too-large fields', ask(`{ ${chain(10_000, (at) => `f${at}`)} }`)],
  ['many long fields', ask(`{ ${chain(90, () => `${'x'.repeat(1000)} {`)} ${chain(100, (at) => `f${at}`)} ${'}'.repeat(90)} }`), 'body-too-large fields', ask(`{ ${chain(90, () => `${'x'.repeat(100)} {`)} ${chain(100, (at) => `f${at}`)} ${'}'.repeat(90)} }`)],
  ['deep fields', ask(`${'{ a '.repeat(101)}${'}'.repeat(101)}`), 'body-too-large depth', ask(`${'{ a '.repeat(100)}${'}'.repeat(100)}`)],
  ['deep values', ask(`{ a(x: ${'['.repeat(9000)}${']'.repeat(9000)}) }`), 'body-too-large depth', ask(`{ a(x: ${'['.repeat(98)}${']'.repeat(98)}) }`)],
  ['values one too deep', ask(`{ a(x: ${'['.repeat(99)}${']'.repeat(99)}) }`), 'body-too-large depth', ask(`{ ${chain(200, (at) => `f${at}(x: [{y: 1}])`)} }`)],
  ['brackets that do not end', ask('{'.repeat(19_000)), 'body-too-large depth', ask('{ a { b } }')],
  ['depth by fragments', ask(`{ ...F0 } ${chain(200, (at) => `fragment F${at} on Q { a { ...F${at + 1} } }`)} fragment F200 on Q { a }`), 'body-too-large depth', ask(`{ ...F0 } ${chain(200, (at) => `fragment F${at} on Q { ...F${at + 1} }`)} fragment F200 on Q { a }`)],
  ['exponential fragments', ask(`{ ...F0 } ${chain(60, (at) => `fragment F${at} on Q { a { ...F${at + 1} } b { ...F${at + 1} } }`)} fragment F60 on Q { c }`), 'body-too-large fields', ask(`{ ...F0 } ${chain(60, (at) => `fragment F${at} on Q { ...F${at + 1} ... { ...F${at + 1} } }`)} fragment F60 on Q { c }`)],
  ['large fragments in many places', ask(`{ ${chain(1000, (at) => `f${at} { ...F }`)} } fragment F on Q { ${'a '.repeat(1000)} }`), 'body-too-large fragments', ask(`{ ${chain(40, (at) => `f${at} { ...F }`)} } fragment F on Q { ${'a '.repeat(1000)} }`)],
  // the body's members
  ['no JSON', { body: '{ a }' }, 'malformed-body json grammar', ask('{ a }')],
  ['no body', {}, 'malformed-body json end', ask('{ a }')],
  ['a member twice', { body: '{"query":"{a}","\\u0071uery":"mutation{b}"}' }, 'malformed-body json duplicate key', ask('{a}')],
  ['a member in capitals', { body: '{"query":"{a}","Query":"mutation{b}"}' }, 'malformed-body disguised member', { body: '{"query":"{a}","queries":"mutation{b}"}' }],
  ['a member with an odd letter', { body: '{"query":"{a}","exten\u017fion\u017f":{}}' }, 'malformed-body disguised member', { body: '{"query":"{a}","extension":{}}' }],
  ['a member with a letter without its dot', { body: '{"query":"{a}","var\u0131ables":{}}' }, 'malformed-body disguised member', { body: '{"query":"{a}","var\u0131able":{}}' }],
  ['a member with a wide letter', { body: '{"query":"{a}","\uff51uery":"mutation{b}"}' }, 'malformed-body disguised member', { body: '{"query":"{a}","\uff51ueries":"mutation{b}"}' }],
  ['a member with a space', { body: '{"query":"{a}"," query":"mutation{b}"}' }, 'malformed-body disguised member', { body: '{"query":"{a}","a query":"mutation{b}"}' }],
  ['another spelling of the name', post({ query: '{a}', operation_name: 'A' }), 'malformed-body disguised member', post({ query: 'query A {a}', operationName: 'A' })],
  ['no document', post({ variables: {} }), 'malformed-body no document', ask('{a}')],
  ['an empty document', ask(''), 'malformed-body no document', ask('{a}')],
  ['a document that is no text', post({ query: ['{a}'] }), 'malformed-body query', ask('{a}')],
  ['a name that is no text', post({ query: '{a}', operationName: 1 }), 'malformed-body operationName', post({ query: '{a}', operationName: null })],
  ['variables in a list', post({ query: '{a}', variables: [] }), 'malformed-body variables', post({ query: '{a}', variables: {} })],
  ['extensions as text', post({ query: '{a}', extensions: '{}' }), 'malformed-body extensions', post({ query: '{a}', extensions: {} })],
  ['no object', { body: '"{a}"' }, 'malformed-body no request', ask('{a}')],
  // batches
  ['an empty batch', post([]), 'malformed-body empty batch', post([{ query: '{a}' }])],
  ['a batch in a batch', post([[{ query: '{a}' }]]), 'malformed-body no request', post([{ query: '{a}' }, { query: '{b}' }])],
  ['null in a batch', post([{ query: '{a}' }, null]), 'malformed-body no request', post([{ query: '{a}' }])],
  ['one that cannot be read in a batch', post([{ query: '{a}' }, { query: '{' }]), 'malformed-body syntax', post([{ query: '{a}' }, { query: '{b}' }])],
  ['a long batch', post(Array.from({ length: 51 }, () => ({ query: '{a}' }))), 'body-too-large batch', post(Array.from({ length: 50 }, () => ({ query: '{a}' })))],
  ['a batch of many fields', post(Array.from({ length: 3 }, () => ({ query: `{ ${chain(4000, (at) => `f${at}`)} }` }))), 'body-too-large fields', post(Array.from({ length: 2 }, () => ({ query: `{ ${chain(4000, (at) => `f${at}`)} }` })))],
  // kinds of bodies
  ['an upload', typed('multipart/form-data; boundary=x'), 'operation-not-allowed content-type', typed('application/json')],
  ['a form', typed('application/x-www-form-urlencoded', 'query={a}'), 'operation-not-allowed content-type', typed('application/graphql', '{a}')],
  ['plain text', typed('text/plain'), 'operation-not-allowed content-type', typed('Application/JSON')],
  ["a response's type", typed('application/graphql-response+json'), 'operation-not-allowed content-type', typed('application/json')],
  ['another charset', typed('application/json; charset=utf-16'), 'operation-not-allowed content-type', typed('application/json; charset="UTF-8"')],
  ['another parameter', typed('application/json; q=1'), 'operation-not-allowed content-type', typed('application/json;charset=utf-8')],
  ['two charsets', typed('application/json; charset=utf-8; charset=utf-16'), 'operation-not-allowed content-type', typed('application/json ; charset=utf-8')],
  ['no type', { headers: [], body: '{"query":"{a}"}' }, 'operation-not-allowed content-type', typed('application/json')],
  ['two types', { headers: [...JSON_TYPE, 'content-type', 'application/graphql'], body: '{"query":"{a}"}' }, 'operation-not-allowed content-type', typed('application/json')],
  ['a compressed body', { headers: [...JSON_TYPE, 'Content-Encoding', 'gzip'], body: '{"query":"{a}"}' }, 'operation-not-allowed content-encoding', { headers: [...JSON_TYPE, 'Content-Encoding', 'identity'], body: '{"query":"{a}"}' }],
  ['a document in Latin-1', { headers: ['Content-Type', 'application/graphql'], body: Buffer.from('{ a(x: "\xe4") }', 'latin1') }, 'malformed-body utf-8', typed('application/graphql', '{ a(x: "ä") }')],
  ['another method', { ...ask('{a}'), method: 'PUT' }, 'operation-not-allowed method', { ...ask('{a}'), method: 'POST' }],
  ['HEAD', { ...escaped('{a}'), method: 'HEAD' }, 'operation-not-allowed method', escaped('{a}')],
  // URLs beside bodies
  ['a document in the URL too', { ...ask('{a}'), query: 'query=mutation{b}' }, 'malformed-body URL and body', { ...ask('{a}'), query: 'q=mutation{b}' }],
  ['variables in the URL too', { ...ask('{a}'), query: 'x&Variables={}' }, 'malformed-body URL and body', { ...ask('{a}'), query: 'x&Variable={}' }],
  ['a name behind a semicolon', { ...ask('{a}'), query: 'x;operationName=B' }, 'malformed-body URL and body', { ...ask('{a}'), query: 'x;operation=B' }],
  ['an escaped name', { ...ask('{a}'), query: '%65xtensions={}' }, 'malformed-body URL and body', { ...ask('{a}'), query: '%65xtension={}' }],
  ['a name escaped twice', { ...ask('{a}'), query: '%2571uery=x' }, 'malformed-body URL and body', { ...ask('{a}'), query: '%2571ueries=x' }],
  ['a name with brackets', { ...ask('{a}'), query: 'query[]=x' }, 'malformed-body URL and body', { ...ask('{a}'), query: 'q[query]=x' }],
  ['a stored document in the URL', { ...ask('{a}'), query: 'doc_id=1' }, 'malformed-body URL and body', { ...ask('{a}'), query: 'doc=1' }],
  ['a URL that cannot be read', { ...ask('{a}'), query: 'x=%zz' }, 'malformed-body URL and body', { ...ask('{a}'), query: 'x=%25zz' }],
  // GET
  ['GET with a body', { ...escaped('{a}'), body: '{"query":"mutation{b}"}' }, 'malformed-body body of GET', { ...escaped('{a}'), body: '' }],
  ['GET without a document', get('variables={}'), 'malformed-body no document', get('variables={}&query={a}')],
  ['GET without anything', { method: 'GET' }, 'malformed-body no document', escaped('{a}')],
  ['GET with an empty document', get('query='), 'malformed-body no document', get('query={a}')],
  ['a document twice', get('query={a}&query=mutation{b}'), 'malformed-body repeated member', get('query={a}&q=mutation{b}')],
  ['a document twice, once empty', get('query=&query={a}'), 'malformed-body repeated member', get('variables=&query={a}')],
  ['a document twice, once in capitals', get('query={a}&QUERY=mutation{b}'), 'malformed-body disguised member', get('query={a}&QUERIES=mutation{b}')],
  ['a document in a list', get('query={a}&query[]=mutation{b}'), 'malformed-body disguised member', get('query={a}&q[]=mutation{b}')],
  ['extensions by a path', get('query={a}&extensions.persistedQuery.sha256Hash=x'), 'malformed-body disguised member', get('query={a}&more.extensions=x')],
  ['a name that ends early', get('query={a}&query%00=mutation{b}'), 'malformed-body disguised member', get('query={a}&q%00uery=mutation{b}')],
  ['a document escaped twice', get('query={a}&%2571uery=mutation{b}'), 'malformed-body more than one reading', get('query={a}&%2571ueries=mutation{b}')],
  ['a semicolon', get('query={a};query=mutation{b}'), 'malformed-body separator', get('query={a}%23%3Bquery=mutation{b}')],
  ['broken escapes', get('query={a}&x=%zz'), 'malformed-body escapes', get('query={a}&x=%25')],
  ['escapes that are not UTF-8', get('query={a}%23%ff'), 'malformed-body escapes', get('query={a}%23%c3%bf')],
  ['a string that ends when it is decoded twice', escaped('{ a(x: "%22){b}}mutation{c}#") }'), 'malformed-body more than one reading', escaped('{ a(x: "){b}}mutation{c}#") }')],
  ['a comment that ends when it is decoded twice', escaped('{ a } #%0a mutation { b }'), 'malformed-body more than one reading', escaped('{ a } #% 0a mutation { b }')],
  ['a string escaped so that it is none when it is decoded twice', escaped('{ a(x: "%22") }'), 'malformed-body more than one reading', escaped('{ a(x: "%23") }')],
  ['variables by GET that are no JSON', get("query={a}&variables={'b':1}"), 'malformed-body json grammar', get('query={a}&variables={"b":1}')],
  ['extensions by GET in a list', get('query={a}&extensions=[]'), 'malformed-body extensions', get('query={a}&extensions={}')],
  // persisted
  ['a hash that is not its own', withHash(sha256('{b}'), { query: '{a}' }), 'malformed-body hash', withHash(sha256('{a}'), { query: '{a}' })],
  ['a hash in capitals', withHash(sha256('{a}').toUpperCase(), { query: '{a}' }), 'malformed-body hash', withHash(sha256('{a}'), { query: '{a}' })],
  ['a hash in disguise', post({ query: '{a}', extensions: { PersistedQuery: { sha256Hash: 'x' } } }), 'malformed-body disguised member', post({ query: '{a}', extensions: { tracing: true } })],
  ['a hash in deeper disguise', post({ query: '{a}', extensions: { persistedQuery: { sha256hash: 'x' } } }), 'malformed-body disguised member', post({ query: '{a}', extensions: { persistedQuery: null } })],
  ['a hash that is no text', post({ query: '{a}', extensions: { persistedQuery: { sha256Hash: 1 } } }), 'malformed-body persistedQuery', withHash(sha256('{a}'), { query: '{a}' })],
  ['a document and the id of another', post({ query: '{a}', documentId: 'x' }), 'malformed-body two documents', post({ query: '{a}', documentId: null })],
  ['a document and the id of another by GET', get('query={a}&id=x'), 'malformed-body two documents', get('query={a}&id=')],
  ['an id that is one when it is decoded twice', get('query={a}&document%2549d=x'), 'malformed-body more than one reading', get('query={a}&document%2550d=x')],
] // prettier-ignore

for (const [what, refused, why, twin] of REFUSED)
  void t.test(`${what} is refused, its twin is not`, (t) => {
    t.equal(refusalOf(refused), why)
    t.equal(refusalOf(twin), undefined)
    t.end()
  })

void t.test('a mutation is one by GET too, and a name selects nothing', (t) => {
  t.strictSame(tell(escaped('mutation { a }')), ['mutation a'])
  t.strictSame(tell(get('query=query+A{a}+mutation+B{b}&operationName=A')), [
    'query a',
    'mutation b',
  ])
  t.strictSame(tell(post({ query: 'query A{a} mutation B{b}', operationName: 'A' })), [
    'query a',
    'mutation b',
  ])
  t.end()
})

void t.test('spaces by GET may be written as a plus, and a plus may stand in a string', (t) => {
  const parameters = new URLSearchParams({ query: ISSUES, variables: '{ "a": 1 }' })
  t.strictSame(tell(get(parameters.toString())), [ISSUES_TOLD])
  t.strictSame(tell(get('query={a(x:"1+2")}')), ['query a'])
  t.strictSame(tell(get('query={a}%23+')), ['query a'])
  t.end()
})

void t.test('a real client is understood: POST, GET and a batch', async (t) => {
  const sent: Sent[] = []
  const settings = (method: 'GET' | 'POST'): ConstructorParameters<typeof GraphQLClient>[1] => ({
    method,
    fetch: async (url, init) => {
      const { search } = new URL(url instanceof Request ? url.url : url)
      const request = new Request(url, init)
      sent.push({
        method: request.method,
        ...(search !== '' && { query: search.slice(1) }),
        headers: [...request.headers].flat(),
        ...(request.body && { body: await request.bytes() }),
      })
      return Response.json({ data: {} })
    },
  })
  const variables = { owner: 'acme & co; 100%', name: '"a+b"' }
  const poster = new GraphQLClient('https://api.github.test/graphql', settings('POST'))
  await poster.request(ISSUES, variables)
  await poster
    .batchRequests([{ document: ISSUES, variables }, { document: COMMENT }])
    .catch(() => 0)
  const getter = new GraphQLClient('https://api.github.test/graphql', settings('GET'))
  await getter.request(ISSUES, variables)
  t.strictSame(
    sent.map(({ method }) => method),
    ['POST', 'POST', 'GET'],
  )
  t.strictSame(sent.map(tell), [[ISSUES_TOLD], [ISSUES_TOLD, COMMENT_TOLD], [ISSUES_TOLD]])
  t.end()
})

void t.test('the operations of a whole batch are told', (t) => {
  t.strictSame(tell(post([{ query: '{ a }' }, { query: 'mutation { b } { c }' }])), [
    'query a',
    'mutation b',
    'query c',
  ])
  t.end()
})

void t.test('a document that only the server knows is unknown', (t) => {
  for (const sent of [
    withHash(sha256('{a}'), {}),
    withHash(sha256('{a}'), { query: '' }),
    withHash(sha256('{a}'), { query: null, variables: { a: 1 } }),
    post({ id: 1 }),
    post({ documentId: 'x' }),
    post({ doc_id: 'x', variables: {} }),
    post({ queryId: 'x' }),
    post({ hash: 'x' }),
    post({ operationId: 'x' }),
    post({ DocumentID: 'x' }),
    post([{ query: '{ a }' }, { id: 'x' }]),
    get('id=x'),
    get(
      `extensions=${encodeURIComponent(`{"persistedQuery":{"version":1,"sha256Hash":"${sha256('{a}')}"}}`)}`,
    ),
  ])
    t.strictSame(tell(sent), ['unknown'], JSON.stringify(sent))
  t.strictSame(tell(withHash(sha256('{a}'), { query: '{a}' })), ['query a'])
  t.end()
})

void t.test('the answer to an unknown document makes clients send the whole one', (t) => {
  const notFound = {
    errors: [
      { message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } },
    ],
  }
  const answer = (body?: string): unknown =>
    JSON.parse(persistedQueryNotFound(body === undefined ? undefined : Buffer.from(body)))
  t.strictSame(answer(), notFound)
  t.strictSame(answer(''), notFound)
  t.strictSame(answer('{"id":1}'), notFound)
  t.strictSame(answer('[{"id":1},{"query":"{a}"}]'), [notFound, notFound])
  t.end()
})

// ---- however it is written

interface Field {
  readonly name: string
  readonly below: readonly Field[]
}

const { fields: anyFields } = letrec<{ fields: readonly Field[]; below: readonly Field[] }>(
  (tie) => ({
    fields: array(
      tuple(constantFrom('a', 'b', 'c', 'issues', '__typename', '__type'), tie('below')).map(
        ([name, below]): Field => ({ name, below: name === '__typename' ? [] : below }),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    below: oneof({ maxDepth: 4 }, constant([]), tie('fields')),
  }),
)

const ownAliases = (name: string): string[] => ['', `x${name}: `, `${name}:`, `query${name} :`]

/** Writes fields plainly, or with what the choices say. */
function write(
  fields: readonly Field[],
  choose: () => number,
  fragments: string[],
  aliases: (name: string) => readonly string[] = ownAliases,
): string {
  const parts = fields.map(({ name, below }) => {
    const alias = aliases(name)[choose() % 4]!
    const rest = below.length > 0 ? write(below, choose, fragments, aliases) : ''
    const directive = ['', ' @include(if: false)', ' @a(b: [{c: "}"}]) '][choose() % 3]!
    return wrap(`${alias}${name}${directive}${rest}`, choose, fragments)
  })
  return `{${parts.join([' ', ',', '\n#}\n'][choose() % 3])}}`
}

function wrap(text: string, choose: () => number, fragments: string[]): string {
  const name = `F${fragments.length}`
  switch (choose() % 6) {
    case 5:
      return `... on Query {${text}}`
    case 4:
      return `...@skip(if: true){${text} __typename}`
    case 2:
      fragments.push(`fragment ${name} on Query {${text}}`)
      return `...${name}`
    case 3:
      fragments.push(`fragment ${name} on Query {...{${text}}}`)
      return `...${name} ...on Query{...${name}}`
    default:
      return text
  }
}

const choices: Arbitrary<readonly number[]> = array(integer({ min: 0, max: 11 }), {
  minLength: 1,
  maxLength: 40,
})

function operationsOf(document: string): readonly GraphqlOperation[] {
  const reading = read(ask(document))
  return 'subject' in reading ? reading.subject.operations : []
}

/** What the reference implementation executes, by the fields' names. */
function execute(document: string): { readonly fields: string[]; readonly isWhole: boolean } {
  const fields = new Set<string>()
  const { errors } = executeSync({
    schema: SCHEMA,
    document: parse(document),
    rootValue: '',
    fieldResolver: (parent: string, _arguments, _context, { fieldName }) => {
      const path = parent === '' ? fieldName : `${parent}.${fieldName}`
      fields.add(path)
      return path
    },
  })
  return { fields: [...fields].sort(), isWhole: errors === undefined }
}

// Without types for introspection: it is left out of what is compared.
const SCHEMA = buildSchema('type Query { a: Query b: Query c: Query issues: Query }')

void t.test('the reference implementation executes what is told, and nothing else', (t) => {
  let executed = 0
  assert(
    property(anyFields, choices, (fields, chosen) => {
      let at = 0
      const fragments: string[] = []
      const query = write(fields, () => chosen[at++ % chosen.length]!, fragments)
      const document = `${query} ${fragments.join(' ')}`
      const everywhere = document.replaceAll('(if: false)', '(if: true)').replaceAll('@skip', '@a')
      const [operation] = operationsOf(document)
      const told = operation?.fields.map((path) => path.join('.')) ?? []
      const { fields: some } = execute(document)
      const { fields: all, isWhole } = execute(everywhere)
      executed += all.length
      return (
        some.every((field) => told.includes(field)) &&
        all.every((field) => told.includes(field)) &&
        (!isWhole || operation?.introspection === true || all.length === told.length)
      )
    }),
    { seed: 20_260_101, numRuns: 500 },
  )
  t.ok(executed > 1000, `${executed} fields executed`)
  t.end()
})

void t.test('what it executes where names in the answer collide is told or refused', (t) => {
  const tally = { refused: 0, executed: 0 }
  assert(
    property(anyFields, choices, (fields, chosen) => {
      let at = 0
      const fragments: string[] = []
      const choose = (): number => chosen[at++ % chosen.length]!
      const query = write(fields, choose, fragments, () => ['', 'a: ', 'b: ', 'x: '])
      const document = `${query} ${fragments.join(' ')}`
      if (refusalOf(ask(document)) === 'malformed-body field conflict') {
        tally.refused += 1
        return true
      }
      const told = operationsOf(document)[0]?.fields.map((path) => path.join('.')) ?? []
      const executed = execute(document.replaceAll(/@skip|@include/g, '@a')).fields
      tally.executed += executed.length
      return executed.every((field) => told.includes(field))
    }),
    { seed: 20_260_101, numRuns: 1000 },
  )
  t.ok(tally.executed > 1000 && tally.refused > 50, JSON.stringify(tally))
  t.end()
})

void t.test('aliases, fragments and directives change nothing about what is asked for', (t) => {
  assert(
    property(
      anyFields,
      choices,
      constantFrom('query', 'mutation M', ''),
      (fields, chosen, head) => {
        let at = 0
        const fragments: string[] = []
        const choose = (): number => chosen[at++ % chosen.length]!
        const rewritten = `${head} ${write(fields, choose, fragments)}`
        const plain = `${head} ${write(fields, () => 0, [])}`
        const documents = [
          `${rewritten} ${fragments.join(' ')}`,
          `${fragments.join(' ')} ${rewritten}`,
        ]
        const expected = JSON.stringify(operationsOf(plain))
        return documents.every((document) => JSON.stringify(operationsOf(document)) === expected)
      },
    ),
    { seed: 20_260_101, numRuns: 500 },
  )
  t.end()
})
