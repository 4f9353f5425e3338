// Proves suggestions: the smallest rule file that allows what was wanted, which loads, whose tests pass, and in which bytes of the
// sandbox say nothing but themselves.

import * as fc from 'fast-check'
import t, { type Test } from 'tap'

import type { Reason } from '../../../../src/errors.ts'
import { checkRuleSet } from '../../../../src/policy/check.ts'
import { compilePolicy } from '../../../../src/policy/compile.ts'
import { explain } from '../../../../src/policy/explain.ts'
import { parseRuleSet } from '../../../../src/policy/parse.ts'
import { checkTests } from '../../../../src/policy/rule-tests.ts'
import { askAbout } from '../../../../src/policy/written-call.ts'
import type { FoundCall } from '../../../../src/record/again/find.ts'
import { callRecord } from '../../../../src/record/ecs.ts'
import type { CallFacts } from '../../../../src/record/facts.ts'
import { messageRecord } from '../../../../src/record/message-record.ts'
import { WantedCollection, type WantedKind } from '../../../../src/record/suggest/collect.ts'
import { suggestRules } from '../../../../src/record/suggest/rules.ts'
import { quote, writeRuleSet } from '../../../../src/record/suggest/text.ts'
import { readContent } from '../../../../src/understand/read-content.ts'
import { facts, messageCall, messageOf } from '../support.ts'

const POLICY = `sha256:${'c'.repeat(64)}`

interface Call {
  readonly method?: string
  readonly scheme?: string
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly query?: string
  readonly reason?: Reason
  readonly observed?: boolean
  readonly more?: Partial<CallFacts>
}

function found(call: Call): FoundCall {
  const {
    method = 'GET',
    scheme = 'https',
    host = 'api.test',
    port = 443,
    path = '/',
    query,
  } = call
  const { reason = 'path-not-allowed', observed = false, more } = call
  const record = callRecord(
    facts({
      decision: {
        id: '01JDECISION000000000000000',
        policy: POLICY,
        us: 1,
        ...(observed
          ? { verdict: 'allow', reason: 'allowed', wouldDeny: reason }
          : { verdict: 'deny', reason }),
      },
      reason: observed ? 'allowed' : reason,
      target: { scheme, endpoint: { host, kind: 'name', port, literal: host }, path, query },
      request: { method, version: '1.1', bytes: 0 },
      credential: undefined,
      ...more,
    }),
    observed ? 'call-ended' : 'call-denied',
    0,
  )
  return { record, messages: [], around: undefined }
}

function suggest(calls: readonly (Call | FoundCall)[], kind: WantedKind = 'both'): string {
  const collection = new WantedCollection(kind)
  for (const call of calls) collection.add('record' in call ? call : found(call))
  const { rules, leftOut } = suggestRules(collection.wanted)
  for (const { why, count } of leftOut) collection.leaveOut(why, count)
  return writeRuleSet({ name: 'suggested', rules, notSuggested: collection.notSuggested })
}

/** The rules' text, once it is sure that the file loads, has no fault and passes its tests. */
function rulesOf(t: Test, text: string): string {
  const { ruleSet, problems } = parseRuleSet(text, 's.yaml')
  t.strictSame(problems, [], 'it loads')
  const errors = ruleSet && checkRuleSet(ruleSet).filter(({ severity }) => severity === 'error')
  t.strictSame(errors, [], 'nothing is at fault')
  const tests = ruleSet ? checkTests(ruleSet, readContent) : []
  t.ok(
    tests.every(({ passed }) => passed),
    'its tests pass',
  )
  const [, rules = ''] = /^rules:\n(.*?)^(?:tests:|$(?![\s\S]))/ms.exec(text) ?? []
  t.ok(rules === '' || tests.length > 0, 'it has tests')
  return rules.replaceAll(/^ +#.*\n/gm, '')
}

void t.test('methods whose paths are the same share a rule, and hosts whose rules are', (t) => {
  const rules = rulesOf(
    t,
    suggest([
      { path: '/b' },
      { path: '/a' },
      { path: '/a', method: 'HEAD' },
      { path: '/b', method: 'HEAD', observed: true },
      { path: '/c', method: 'POST' },
      { path: '/c', method: 'POST', host: 'other.test', reason: 'not-on-allowlist' },
      { path: '/c', method: 'POST', host: 'other.test', query: 'key=[secret:parameter]' },
    ]),
  )
  t.equal(
    rules,
    `  - id: 'api.test'
    allow: 'https://api.test'
    methods: ['GET', 'HEAD']
    paths:
      - '/a'
      - '/b'
  - id: 'api.test-2'
    allow:
      - 'https://api.test'
      - 'https://other.test'
    methods: ['POST']
    paths:
      - '/c'
`,
  )
  t.end()
})

void t.test('what was observed and what was denied are told apart', (t) => {
  const calls = [{ path: '/a', observed: true }, { path: '/b' }]
  t.match(suggest(calls), /1 observed, 1 denied\. Look/)
  t.match(rulesOf(t, suggest(calls, 'observed')), /paths:\n {6}- '\/a'\n$/)
  t.match(rulesOf(t, suggest(calls, 'denied')), /paths:\n {6}- '\/b'\n$/)
  t.end()
})

void t.test('R80: ids that were seen often enough are any, never a host', (t) => {
  const hosts = ['1.test', '2.test', '3.test']
  const rules = rulesOf(
    t,
    suggest([1, 2, 3, 4].flatMap((id) => hosts.map((host) => ({ host, path: `/items/${id}` })))),
  )
  t.match(rules, /allow:\n {6}- 'https:\/\/1\.test'\n {6}- 'https:\/\/2\.test'\n {6}- 'https:\/\/3/)
  t.match(rules, /paths:\n {6}- '\/items\/\*'\n$/)
  t.end()
})

void t.test('nothing is suggested where somebody decided, only said why and how often', (t) => {
  const refused: Reason[] = [
    'denied-by-rule',
    'classification-ceiling',
    'flow-violation',
    'environment-mismatch',
    'outside-time-window',
    'condition-error',
    'ip-not-on-allowlist',
  ]
  for (const reason of refused) {
    const text = suggest([{ reason }, { reason, observed: true }])
    t.equal(rulesOf(t, text), '', reason)
    t.match(text, `# not suggested: 2 x ${reason}: `)
  }
  const later = found({ observed: true })
  const refusedLater = (reason: Reason): FoundCall => ({
    ...later,
    record: { ...later.record, event: { ...later.record.event, action: 'call-denied', reason } },
  })
  for (const reason of ['resolved-address-denied', 'killed', 'placeholder-misused'] as const)
    t.match(suggest([refusedLater(reason)]), `rules: []`, reason)
  const undecided = found({ more: { decision: undefined, reason: 'malformed-path' } })
  t.match(suggest([undecided]), /# not suggested: 1 x malformed-path/)
  t.match(
    suggest([{ host: '10.0.0.1', more: literal('10.0.0.1') }]),
    /an address instead of a name/,
  )
  t.match(suggest([{ path: '/a', more: { detail: { override: 'x-http-method' } } }]), /by a header/)
  t.end()
})

function literal(host: string): Partial<CallFacts> {
  return {
    target: {
      scheme: 'https',
      endpoint: { host, kind: 'ipv4', port: 443, literal: host },
      path: '/',
      query: undefined,
    },
  }
}

void t.test('a path that a pattern cannot say exactly is left out, others are quoted', (t) => {
  for (const path of ['/a*', '/{repo}', '/a%2Fb', '/a%25b', '/a%3Fb', '/a//b', '/[secret:path]/x'])
    t.match(suggest([{ path }]), 'rules: []', path)
  for (const path of [
    "/it's",
    '/a"b',
    '/a:%20b',
    '/caf%C3%A9',
    '/%F0%9F%98%80',
    '/a;v=1',
    '/a/',
    '/#x',
  ])
    if (path !== '/#x') t.not(rulesOf(t, suggest([{ path }])), '', path)
  t.match(rulesOf(t, suggest([{ path: '/a/' }])), /- '\/a'\n {6}- '\/a\/'\n$/, 'each reading')
  t.end()
})

void t.test('tunnels: what nobody saw is suggested for reading, opaque ones as they were', (t) => {
  const tunnel = (scheme: 'tcp' | 'tls', host: string, inspection: 'connect' | 'none'): FoundCall =>
    found({
      reason: 'not-on-allowlist',
      more: {
        kind: 'tunnel',
        inspection,
        request: undefined,
        target: { scheme, endpoint: { host, kind: 'name', port: 443, literal: host } },
      },
    })
  const text = suggest([
    tunnel('tcp', 'unseen.test', 'connect'),
    tunnel('tcp', 'seen.test', 'connect'),
    { host: 'seen.test', path: '/x' },
    tunnel('tls', 'opaque.test', 'none'),
    tunnel('tcp', 'relayed.test', 'none'),
    tunnel('tls', 'seen.test', 'none'),
  ])
  const rules = rulesOf(t, text)
  t.match(rules, /allow: 'https:\/\/unseen\.test'\n {4}methods: \['GET', 'HEAD'\]\n/)
  t.match(rules, /allow: 'https:\/\/seen\.test'\n {4}methods: \['GET'\]\n {4}paths:\n {6}- '\/x'\n/)
  t.match(rules, /allow:\n {6}- 'tcp:\/\/relayed\.test:443'\n {6}- 'tls:\/\/opaque\.test'\n/)
  t.notMatch(rules, /tls:\/\/seen/)
  t.match(
    text,
    /# not suggested: 1 x a tunnel that nobody looks into, to where calls are looked into/,
  )
  t.match(text, "call: 'CONNECT unseen.test:443'\n    expect: 'allow unseen.test'")
  t.end()
})

void t.test('what is inside stands exactly, and no rule beside it takes back its limits', (t) => {
  const message = (list: 'tool' | 'uri' | 'prompt', name: string): FoundCall => {
    const fields = {
      tool: {
        mcp: { method: { name: 'tools/call' } },
        gen_ai: { operation: { name: 'execute_tool' }, tool: { name } },
      },
      uri: { mcp: { method: { name: 'resources/read' }, resource: { uri: name } } },
      prompt: {
        mcp: { method: { name: 'prompts/get' } },
        gen_ai: { operation: { name: 'get' }, prompt: { name } },
      },
    }[list]
    const denied = messageOf({
      fields,
      verdict: 'deny',
      reason: 'tool-not-allowed',
    })
    const record = messageRecord(messageCall('C'), denied, 0)
    const around = found({ method: 'POST', host: record.url!.domain, path: record.url!.path! })
    return { record, messages: [], around: around.record }
  }
  const first = message('tool', 'get_issue')
  const { domain: host, path = '', port } = first.record.url!
  const text = suggest([
    first,
    message('tool', 'add_comment'),
    message('uri', 'file:///work/a'),
    message('prompt', 'triage'),
    message('tool', 'any*'),
    { method: 'GET', host, path, port, reason: 'method-not-allowed' },
    { method: 'POST', host, path, port },
  ])
  const rules = rulesOf(t, text)
  t.match(
    rules,
    /methods: \['GET', 'POST'\]\n {4}paths:\n {6}- '[^\n]+'\n {4}tools:\n {6}- 'add_comment'\n {6}- 'get_issue'\n {4}resources:\n {6}- 'file:\/\/\/work\/a'\n {4}prompts:\n {6}- 'triage'\n$/,
  )
  t.equal(rules.split('- id:').length, 2, 'one rule')
  t.match(text, /# not suggested: 1 x the name of a tool/)

  const asked = (model: string, maxTokens?: number, serverTools: string[] = []): Call => ({
    method: 'POST',
    path: '/v1/messages',
    reason: 'operation-not-allowed',
    more: {
      inspected: {
        gen_ai: {
          operation: { name: 'chat' },
          request: { model, ...(maxTokens !== undefined && { max_tokens: maxTokens }) },
        },
        content: { server_tools: serverTools },
      },
    },
  })
  t.match(
    rulesOf(t, suggest([asked('b', 10), asked('a', 20)])),
    /models:\n {6}- 'a'\n {6}- 'b'\n {4}maxTokens: 20\n {4}serverTools: false\n$/,
  )
  t.match(
    rulesOf(t, suggest([asked('a'), asked('a', 5, ['web_search'])])),
    /- 'a'\n {4}serverTools: \['web_search'\]\n$/,
  )

  const graphql = (operation: string, ...fields: string[]): Call => ({
    method: 'POST',
    path: '/graphql',
    reason: 'operation-not-allowed',
    more: { inspected: { content: { graphql: { operations: [operation], fields } } } },
  })
  const graph = rulesOf(
    t,
    suggest([graphql('query Q', 'a', 'a.b'), graphql('query', 'c'), graphql('mutation', 'd')]),
  )
  t.match(graph, /operations: \['query'\]\n {6}fields: \['a\.b', 'c'\]\n/)
  t.match(graph, /operations: \['mutation'\]\n {6}fields: \['d'\]\n/)
  t.match(
    rulesOf(t, suggest([graphql('query', '__schema', '__schema.types')])),
    /fields: \['__schema'\]\n {6}introspection: true\n$/,
  )

  const git = (repo: string, service: string, ...commands: string[]): Call => ({
    method: 'POST',
    path: `/${repo}.git/git-${service}`,
    reason: commands.length > 0 ? 'ref-not-allowed' : 'source-not-allowed',
    more: { inspected: { content: { git: { repo, service, commands } } } },
  })
  const gits = rulesOf(
    t,
    suggest([
      git('a/b', 'upload-pack'),
      git('a/c', 'upload-pack'),
      git('a/b', 'receive-pack', 'create refs/heads/x'),
      git('a/b', 'receive-pack', 'delete refs/heads/y'),
      git('a/d', 'receive-pack'),
      { path: '/a/b.git/info/refs' },
    ]),
  )
  t.match(gits, /repos: \['a\/b', 'a\/c'\]\n/)
  t.match(gits, /repos: \['a\/b'\]\n {6}push: \['refs\/heads\/x'\]\n/)
  t.match(gits, /repos: \['a\/b'\]\n {6}push: \['refs\/heads\/y'\]\n {6}force: true\n/)
  t.notMatch(gits, 'a/d')
  t.notMatch(gits, 'paths')
  t.match(suggest([{ reason: 'tool-not-allowed' }]), /x what is inside it is not on record/)
  t.match(suggest([{ reason: 'operation-not-allowed' }]), /x a condition was false, or what is/)
  t.end()
})

void t.test('the one credential that was added is named; of two nobody can tell', (t) => {
  const by = (name: string): Partial<CallFacts> => ({
    credential: { name, action: 'injected' },
    decision: { ...facts().decision!, wouldDeny: 'path-not-allowed' },
  })
  const one = { path: '/a', observed: true, more: by('github') }
  t.match(rulesOf(t, suggest([one, { path: '/b' }])), /credential: 'github'\n$/)
  const text = suggest([one, { path: '/b', observed: true, more: by('other') }])
  t.notMatch(rulesOf(t, text), 'credential')
  t.match(text, /# more than one credential was added: choose one/)
  t.end()
})

void t.test(
  'whatever the sandbox asked for: it loads, its tests pass, it allows what was asked for and no other path',
  (t) => {
    const path = fc
      .array(
        fc.oneof(
          fc.nat(9).map(String),
          fc.webPath().map((text) => text.slice(1, 12)),
          fc.string({ maxLength: 6 }).map(encodeURIComponent),
        ),
        { maxLength: 4 },
      )
      .map((parts) => `/${parts.join('/')}`)
    const call = fc.record({
      method: fc.constantFrom('GET', 'POST', "A'B", 'X#Y'),
      host: fc.constantFrom('a.test', 'b.test', 'xn--caf-dma.test'),
      port: fc.constantFrom(443, 8443),
      path,
      observed: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(call, { maxLength: 20 }), (calls) => {
        const text = suggest(calls)
        const { ruleSet, problems } = parseRuleSet(text, 's.yaml')
        if (ruleSet === undefined) throw new Error(JSON.stringify(problems))
        if (!checkTests(ruleSet, readContent).every(({ passed }) => passed)) return false
        const { policy } = compilePolicy({ sets: [ruleSet], always: [], params: {}, task: {} })
        const unsaid = /# not suggested: (\d+) x/g
        const left = [...text.matchAll(unsaid)].reduce((sum, [, count]) => sum + Number(count), 0)
        const allowed = calls.filter(({ method, host, port, path: asked }) => {
          try {
            const question = askAbout(method, `https://${host}:${port}${asked}`, [])
            return (
              explain(policy!, question, { now: 0, read: 'public' }).decision.verdict === 'allow'
            )
          } catch {
            return false
          }
        })
        const strange = askAbout('GET', 'https://a.test/never-asked-for/by-anybody', [])
        const isClosed =
          explain(policy!, strange, { now: 0, read: 'public' }).decision.verdict === 'deny'
        return isClosed && allowed.length + left >= calls.length
      }),
    )
    t.end()
  },
)

void t.test('a text in quotes is itself, whatever is in it', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const { ruleSet } = parseRuleSet(
        `ruleset: s\ndescription: ${quote(`x${text}`)}\nrules: []\n`,
        's.yaml',
      )
      return ruleSet?.description === `x${text}`
    }),
  )
  t.end()
})
