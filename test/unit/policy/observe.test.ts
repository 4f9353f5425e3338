// `observe: true`: what would be denied is recorded and let pass.

import t from 'tap'

import { connectTo, decisionOn, policyOf } from './ask.ts'

const summary = (yaml: string, call: string): string => {
  const { verdict, reason, rule, wouldDeny } = decisionOn(policyOf(yaml), call)
  const would = wouldDeny === undefined ? '' : `, would deny ${wouldDeny}`
  return verdict === 'allow' ? `${rule?.id}${would}` : reason + would
}

const ENFORCED = '- id: r\n  allow: https://a.test\n  methods: [GET]\n  paths: [/x]'

void t.test(
  'R80: an observed allow passes what nothing else allows, and says what it would be',
  (t) => {
    const yaml = `- id: seen\n  allow: ["https://*", { scheme: https, cidr: 192.0.2.0/24 }]\n  observe: true\n${ENFORCED}`
    t.equal(summary(yaml, 'GET https://a.test/x'), 'r')
    t.equal(summary(yaml, 'GET https://a.test/y'), 'seen, would deny path-not-allowed')
    t.equal(summary(yaml, 'POST https://a.test/x'), 'seen, would deny method-not-allowed')
    t.equal(summary(yaml, 'GET https://b.test/'), 'seen, would deny not-on-allowlist')
    t.equal(summary(yaml, 'GET https://192.0.2.1/'), 'seen, would deny ip-not-on-allowlist')
    t.equal(summary(yaml, 'GET https://b.test:8443/'), 'port-not-allowed', 'it has to match itself')
    t.end()
  },
)

void t.test('R80: an observed allow changes nothing for calls that are allowed anyway', (t) => {
  const policy = policyOf(`
- id: seen
  allow: https://a.test
  observe: true
  credential: other
  limit: { bodyBytes: 1 }
${ENFORCED}`)
  t.same(decisionOn(policy, 'GET https://a.test/x').obligations, {
    clientAuth: 'drop',
    placeholderInBody: 'pass',
  })
  t.match(decisionOn(policy, 'GET https://a.test/y').obligations, {
    credential: 'other',
    bodyBytesMax: 1,
  })
  t.end()
})

void t.test('R80: an observed deny denies nothing', (t) => {
  const yaml = `${ENFORCED}\n- id: watch\n  deny: https://a.test\n  observe: true`
  t.equal(summary(yaml, 'GET https://a.test/x'), 'r, would deny denied-by-rule')
  t.equal(summary(yaml, 'GET https://a.test/y'), 'path-not-allowed')
  t.end()
})

void t.test('R80: what is denied by a rule that is not observed stays denied', (t) => {
  const yaml = `- id: seen\n  allow: "https://*"\n  observe: true\n- id: d\n  deny: https://b.test`
  t.equal(summary(yaml, 'GET https://b.test/'), 'denied-by-rule')
  t.equal(summary(yaml, 'GET https://c.test/'), 'seen, would deny not-on-allowlist')
  const both = `${yaml}\n- id: watch\n  deny: https://c.test\n  observe: true`
  t.equal(summary(both, 'GET https://c.test/'), 'seen, would deny denied-by-rule')
  t.end()
})

void t.test('R80: a tunnel opens under an observed allow and says so', (t) => {
  const policy = policyOf('- id: seen\n  allow: "https://*"\n  observe: true')
  t.match(connectTo(policy, 'a.test:443'), {
    verdict: 'allow',
    mode: 'inspect',
    wouldDeny: 'not-on-allowlist',
  })
  t.match(connectTo(policy, 'a.test:80'), { verdict: 'deny', reason: 'port-not-allowed' })
  t.end()
})
