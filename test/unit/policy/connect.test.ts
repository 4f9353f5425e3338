// CONNECT: whether a tunnel opens, and what is looked at inside.

import t from 'tap'

import { decideConnectTogether, type PolicyChain } from '../../../src/policy/conjunction.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { connectTo, MOMENT, policyOf, verdictOn } from './ask.ts'

const summary = (yaml: string, authority: string): string => {
  const { verdict, reason, mode, rule } = connectTo(policyOf(yaml), authority)
  return verdict === 'allow' ? `${mode} by ${rule?.id}` : reason
}

void t.test('R35: a tunnel opens where a rule covers host and port', (t) => {
  const yaml = `
- id: api
  allow: https://a.test
  paths: [/only/this]
- id: clear
  allow: http://c.test
- id: socket
  allow: wss://s.test:8443
- id: pinned
  allow: tls://p.test
- id: db
  allow: tcp://db.test:5432
- id: lan
  allow: { scheme: tcp, cidr: 10.0.0.0/8, port: 22 }`
  t.equal(summary(yaml, 'a.test:443'), 'inspect by api')
  t.equal(summary(yaml, 'c.test:80'), 'inspect by clear')
  t.equal(summary(yaml, 's.test:8443'), 'inspect by socket')
  t.equal(summary(yaml, 'p.test:443'), 'tls by pinned')
  t.equal(summary(yaml, 'db.test:5432'), 'tcp by db')
  t.equal(summary(yaml, '10.1.2.3:22'), 'tcp by lan')
  t.equal(summary(yaml, 'a.test:8443'), 'port-not-allowed')
  t.equal(summary(yaml, 'db.test:443'), 'port-not-allowed')
  t.equal(summary(yaml, '10.1.2.3:23'), 'port-not-allowed')
  t.equal(summary(yaml, 'other.test:443'), 'not-on-allowlist')
  t.equal(summary(yaml, '192.0.2.1:443'), 'ip-not-on-allowlist')
  t.end()
})

void t.test('R42: a tunnel that is not looked into has no credential to its name', (t) => {
  const policy = policyOf('- id: pinned\n  allow: tls://p.test\n  data: internal')
  const { obligations } = connectTo(policy, 'p.test:443')
  t.same(obligations, { data: 'internal', clientAuth: 'drop', placeholderInBody: 'pass' })
  t.equal(verdictOn(policy, 'GET https://p.test/'), 'deny protocol-not-allowed')
  t.end()
})

void t.test(
  'where any allow looks into a connection, tls and tcp rules do not apply to it',
  (t) => {
    const yaml = `
- id: pinned
  allow: tls://a.test
- id: any
  allow: tcp://a.test:443
- id: api
  allow: "https://*.test"
  paths: [/x]`
    t.equal(summary(yaml, 'a.test:443'), 'inspect by api')
    t.equal(verdictOn(policyOf(yaml), 'GET https://a.test/y'), 'deny path-not-allowed')
    const without = '- id: any\n  allow: tcp://a.test:443\n- id: pinned\n  allow: tls://a.test'
    t.equal(summary(without, 'a.test:443'), 'tls by pinned', 'tls before tcp')
    t.end()
  },
)

void t.test(
  'a deny of the whole host denies the tunnel, a deny of a part the calls inside',
  (t) => {
    const allow = '- id: api\n  allow: https://a.test'
    t.equal(summary(`${allow}\n- id: d\n  deny: https://a.test`, 'a.test:443'), 'denied-by-rule')
    for (const part of ['methods: [PUT]', 'paths: [/x]', 'query: { a: b }', 'headers: { a: b }']) {
      const yaml = `${allow}\n- id: d\n  deny: https://a.test\n  ${part}`
      t.equal(summary(yaml, 'a.test:443'), 'inspect by api', part)
    }
    const ports = `${allow}\n- id: d\n  deny: https://a.test\n  ports: [8443]`
    t.equal(summary(ports, 'a.test:443'), 'inspect by api')
    t.end()
  },
)

void t.test('a deny of a part denies a tunnel of which nobody sees the parts', (t) => {
  for (const allow of ['tls://a.test', 'tcp://a.test:443']) {
    const yaml = `- id: pinned\n  allow: ${allow}`
    t.match(summary(yaml, 'a.test:443'), /by pinned/)
    const denied = `${yaml}\n- id: d\n  deny: https://a.test/admin/**`
    t.equal(summary(denied, 'a.test:443'), 'denied-by-rule')
    t.match(summary(`${denied}\n  ports: [80]`, 'a.test:443'), /by pinned/, 'on other ports')
  }
  t.end()
})

void t.test(
  'I8: cleartext inside a tunnel is judged under http rules for that host and port',
  (t) => {
    const policy = policyOf('- id: r\n  allow: ["http://a.test:8080", https://a.test]')
    t.equal(connectTo(policy, 'a.test:8080').mode, 'inspect')
    t.equal(verdictOn(policy, 'GET http://a.test:8080/'), 'allow r')
    t.equal(verdictOn(policy, 'GET http://a.test:443/'), 'deny protocol-not-allowed')
    t.equal(verdictOn(policy, 'GET https://a.test:8080/'), 'deny protocol-not-allowed')
    t.end()
  },
)

void t.test('nothing leaves for a tunnel in which nothing may leave yet', (t) => {
  const isSilent = (yaml: string, read: 'public' | 'restricted' = 'public'): boolean => {
    const asked = askAbout('CONNECT', 'a.test:443', [])
    if (!('connect' in asked)) throw new Error('no CONNECT')
    const chain: PolicyChain = [policyOf(yaml)]
    const own = decideConnectTogether(chain, asked.connect, { ...MOMENT, read })
    const above: PolicyChain = [policyOf('- { id: any, allow: https://a.test }'), ...chain]
    const below = decideConnectTogether(above, asked.connect, { ...MOMENT, read })
    t.equal(own.mode, 'inspect')
    t.equal(below.isSilent, read === 'public' ? own.isSilent : true, 'an ancestor counts as much')
    return own.isSilent === true
  }
  const allow = '- { id: allow, allow: https://a.test, paths: [/a] }'
  const hold = '- { id: hold, hold: https://a.test }'
  t.notOk(isSilent(allow))
  t.ok(isSilent(hold), 'a person has yet to let each call through')
  t.notOk(isSilent(`${allow}\n${hold}`), 'some call needs nobody')
  t.ok(isSilent('- { id: seen, allow: https://a.test, observe: true }\n' + hold))
  t.notOk(isSilent('- { id: open, allow: https://a.test, accepts: restricted }', 'restricted'))
  t.ok(isSilent(allow, 'restricted'), 'what was read may not be sent there')
  t.end()
})
