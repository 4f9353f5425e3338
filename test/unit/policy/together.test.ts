// Several rules on one call: what denies, what allows, what is owed.

import t from 'tap'

import { decisionOn, policyOf, verdictOn } from './ask.ts'

void t.test('any deny denies, wherever it stands', (t) => {
  const allow = '- id: r\n  allow: https://a.test'
  const deny = '- id: d\n  deny: https://a.test\n  methods: [DELETE]'
  for (const sets of [[`${allow}\n${deny}`], [`${deny}\n${allow}`], [allow, deny], [deny, allow]]) {
    const policy = policyOf(sets)
    t.equal(verdictOn(policy, 'DELETE https://a.test/'), 'deny denied-by-rule')
    t.equal(decisionOn(policy, 'DELETE https://a.test/').rule?.id, 'd')
    t.equal(verdictOn(policy, 'GET https://a.test/'), 'allow r')
  }
  t.end()
})

void t.test('the rule that allows is the first, in the order of sets and of files', (t) => {
  const policy = policyOf([
    '- id: narrow\n  allow: https://a.test\n  paths: [/x]',
    '- id: wide\n  allow: "https://*"\n- id: last\n  allow: https://a.test',
  ])
  const of = (call: string): unknown => decisionOn(policy, call).rule
  t.match(of('GET https://a.test/x'), {
    id: 'narrow',
    ruleset: 'set0',
    version: /^sha256:[0-9a-f]{64}$/,
  })
  t.match(of('GET https://a.test/y'), { id: 'wide', ruleset: 'set1' })
  t.end()
})

void t.test('what all matching allows ask for is owed together', (t) => {
  const policy = policyOf(`
- id: one
  allow: https://a.test
  paths: [/x, /y]
  data: internal
  limit: { bodyBytes: 64KiB }
  clientAuth: pass
- id: two
  allow: https://a.test
  paths: [/x, /z]
  data: confidential
  limit: { bodyBytes: 1KiB }
  credential: second
- id: three
  allow: https://a.test
  paths: [/x]
  credential: third
  placeholderInBody: refuse`)
  t.same(decisionOn(policy, 'GET https://a.test/x').obligations, {
    credential: 'second',
    bodyBytesMax: 1024,
    data: 'confidential',
    clientAuth: 'drop',
    placeholderInBody: 'refuse',
  })
  t.same(decisionOn(policy, 'GET https://a.test/y').obligations, {
    bodyBytesMax: 65_536,
    data: 'internal',
    clientAuth: 'pass',
    placeholderInBody: 'pass',
  })
  t.same(decisionOn(policy, 'GET https://a.test/z').obligations, {
    credential: 'second',
    bodyBytesMax: 1024,
    data: 'confidential',
    clientAuth: 'drop',
    placeholderInBody: 'pass',
  })
  t.same(decisionOn(policy, 'GET https://a.test/w').obligations, {
    clientAuth: 'drop',
    placeholderInBody: 'pass',
  })
  t.end()
})

void t.test('what a call falls under is what all rules that allow it say together', (t) => {
  const policy = policyOf(
    `
- id: one
  allow: https://a.test
  regulation: [pci-dss, gdpr, gdpr]
- id: two
  allow: https://a.test
  paths: [/x]
  regulation: hipaa
- id: three
  allow: https://b.test`,
    { always: ['- id: all\n  allow: "https://*"\n  paths: [/z]\n  regulation: dora'] },
  )
  const owed = (call: string): readonly string[] | undefined =>
    decisionOn(policy, call).obligations.regulation
  t.strictSame(owed('GET https://a.test/y'), ['gdpr', 'pci-dss'])
  t.strictSame(owed('GET https://a.test/x'), ['gdpr', 'hipaa', 'pci-dss'])
  t.strictSame(owed('GET https://a.test/z'), ['dora', 'gdpr', 'pci-dss'])
  t.strictSame(owed('GET https://b.test/y'), undefined)
  t.strictSame(owed('GET https://b.test/z'), ['dora'])
  t.strictSame(owed('GET https://c.test/z'), undefined, 'what is refused brings nothing back')
  t.end()
})

void t.test('client authentication passes only where every allow that matches says so', (t) => {
  const pass = '- id: one\n  allow: https://a.test\n  clientAuth: pass'
  const also = '- id: two\n  allow: https://a.test\n  clientAuth: pass'
  const silent = '- id: three\n  allow: https://a.test'
  const auth = (yaml: string): string =>
    decisionOn(policyOf(yaml), 'GET https://a.test/').obligations.clientAuth
  t.equal(auth(pass), 'pass')
  t.equal(auth(`${pass}\n${also}`), 'pass')
  t.equal(auth(`${pass}\n${silent}`), 'drop')
  t.end()
})

void t.test('sets that bind every task deny and limit, and do not allow', (t) => {
  const always = [
    `- id: guard
  allow: "https://*"
  limit: { bodyBytes: 100 }
  placeholderInBody: refuse
- id: never
  deny: https://a.test
  paths: [/admin/**]`,
  ]
  const policy = policyOf(
    '- id: r\n  allow: https://a.test\n  clientAuth: pass\n  limit: { bodyBytes: 1KiB }',
    { always },
  )
  t.equal(verdictOn(policy, 'GET https://a.test/admin'), 'deny denied-by-rule')
  t.equal(verdictOn(policy, 'GET https://b.test/'), 'deny not-on-allowlist')
  t.equal(verdictOn(policy, 'GET https://a.test/'), 'allow r')
  t.same(decisionOn(policy, 'GET https://a.test/').obligations, {
    bodyBytesMax: 100,
    clientAuth: 'pass',
    placeholderInBody: 'refuse',
  })
  t.equal(decisionOn(policy, 'GET https://a.test/').rule?.id, 'r')
  t.end()
})

void t.test('R26: the policy names every set in force with its version', (t) => {
  const a = '- id: r\n  allow: https://a.test'
  const b = '- id: s\n  deny: https://b.test\n- id: s2\n  deny: https://c.test'
  const policy = policyOf([a], { always: [b] })
  t.match(policy.ruleSets, [
    { name: 'always0', rules: 2, version: /^sha256:/ },
    { name: 'set0', rules: 1, version: /^sha256:/ },
  ])
  t.match(policy.digest, /^sha256:[0-9a-f]{64}$/)
  t.equal(policy.digest, policyOf([a], { always: [b] }).digest, 'the same sets')
  t.not(policy.digest, policyOf([a, b]).digest, 'other sets')
  t.not(policy.digest, policyOf([`${a} `], { always: [b] }).digest, 'another byte in a file')
  t.equal(decisionOn(policy, 'GET https://a.test/').policy, policy.digest)
  t.equal(decisionOn(policy, 'GET https://x.test/').policy, policy.digest)
  t.end()
})

void t.test('R36: which addresses may be dialed comes from the rules that match', (t) => {
  const policy = policyOf(
    `
- id: inside
  allow: https://a.test
  paths: [/x]
  addresses: [10.0.0.0/8]
- id: more
  allow: https://a.test
  addresses: [192.168.1.1]
- id: range
  allow: { scheme: https, cidr: 172.16.0.0/12 }
- id: literal
  allow: http://169.254.169.254
- id: no-lab
  deny: { cidr: 10.9.0.0/16 }
- id: no-post
  deny: { cidr: 10.8.0.0/16 }
  methods: [POST]
- id: no-alt
  deny: { cidr: 10.7.0.0/16 }
  ports: [8443]
- id: seen
  deny: { cidr: 10.6.0.0/16 }
  observe: true`,
  )
  const texts = (call: string): unknown => {
    const { allowed, denied } = decisionOn(policy, call).addresses
    return [allowed.map(({ text }) => text), denied.map(({ text }) => text)]
  }
  t.same(texts('GET https://a.test/x'), [
    ['10.0.0.0/8', '192.168.1.1/32', '172.16.0.0/12'],
    ['10.9.0.0/16'],
  ])
  t.same(texts('POST https://a.test/'), [
    ['192.168.1.1/32', '172.16.0.0/12'],
    ['10.9.0.0/16', '10.8.0.0/16'],
  ])
  t.same(texts('GET https://172.16.5.5/'), [['172.16.0.0/12'], ['10.9.0.0/16']])
  t.same(texts('GET http://169.254.169.254/'), [['169.254.169.254/32'], ['10.9.0.0/16']])
  t.same(texts('GET https://b.test/'), [[], []], 'nothing is dialed')
  t.end()
})
