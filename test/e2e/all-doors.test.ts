// One table of denials by every door: the same reason, one record a call, nothing dialed; and beside each its allowed twin.

import t, { type Test } from 'tap'

import { DOORS, type Asked, type Door } from '../fixtures/doors.ts'
import { inNetworks, SANDBOX_RANGE } from '../fixtures/networks.ts'
import { ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'

const HERE = 'addresses: [203.0.113.0/24]'
const HOST = 'allowed.test'
// The network is the test's own: no port in it is taken.
const SOCKS_PORT = 1080

const RULES = ruleSet(
  `id: plain, allow: 'http://${HOST}', methods: [GET], paths: ['/ok/**'], ${HERE}`,
  `id: secure, allow: 'https://${HOST}', methods: [GET], paths: ['/ok/**'], ${HERE}`,
  `id: private, allow: ['http://private.test', 'https://private.test']`,
  `id: metadata, allow: ['http://metadata.test', 'https://metadata.test'], addresses: [169.254.0.0/16]`,
  `id: wide, allow: ['http://*.wide.test', 'https://*.wide.test'], ${HERE}`,
  `id: no, deny: 'https://no.wide.test'`,
  `id: literal, allow: ['http://203.0.113.7', 'https://203.0.113.7']`,
)

const CONFIG = `journal: { denialsPerTaskPerSecond: 1000 }
upstream:
  ca: [upstream-ca.pem]
  hosts:
    ${HOST}: [203.0.113.10]
    private.test: [10.1.2.3]
    metadata.test: [169.254.169.254]
    any.wide.test: [203.0.113.11]
`

interface Case extends Partial<Asked> {
  readonly what: string
  readonly reason: string
  /** Another reason of those doors that see it elsewhere. */
  readonly reasonOf?: (door: Door) => string | undefined
  /** Left out where the door cannot say it. */
  readonly isFor?: (door: Door) => boolean
}

const secureOnly = ({ inside }: Door): boolean => inside !== 'clear'
const http1Only = ({ inside }: Door): boolean => inside !== 'h2'
const noTransparent = ({ recorded }: Door): boolean => recorded !== 'transparent'

const CASES: readonly Case[] = [
  { what: 'a host that no rule names', host: 'other.test', reason: 'not-on-allowlist' },
  { what: 'a host below', host: `x.${HOST}`, reason: 'not-on-allowlist' },
  { what: 'a host that begins so', host: `${HOST}.evil.test`, reason: 'not-on-allowlist' },
  { what: 'the apex of a wildcard', host: 'wide.test', reason: 'not-on-allowlist' },
  { what: 'a look-alike', host: 'xn--llowed-4of.test', reason: 'not-on-allowlist' },
  { what: 'a broken A-label', host: 'xn--a.test', reason: 'malformed-target' },
  { what: 'a number for a name', host: '0x7f.1', reason: 'malformed-target' },
  { what: 'a decimal for an address', host: '3405803783', reason: 'malformed-target' },
  { what: 'a denied host', host: 'no.wide.test', reason: 'denied-by-rule' },
  { what: 'another method', method: 'DELETE', reason: 'method-not-allowed' },
  { what: 'TRACE', method: 'TRACE', reason: 'method-not-allowed' },
  { what: 'another path', path: '/secret', reason: 'path-not-allowed' },
  { what: 'dot segments', path: '/ok/../secret', reason: 'malformed-path' },
  { what: 'dot segments encoded', path: '/ok/%2e%2e/secret', reason: 'malformed-path' },
  {
    what: 'another Host',
    hostLines: ['Host: other.test'],
    reason: 'authority-mismatch',
    reasonOf: ({ name }) => (name === 'transparent http' ? 'not-on-allowlist' : undefined),
  },
  { what: 'another port in Host', hostLines: [`Host: ${HOST}:8080`], reason: 'authority-mismatch' },
  {
    what: 'two Hosts',
    hostLines: [`Host: ${HOST}`, 'Host: other.test'],
    isFor: http1Only,
    reason: 'duplicate-host',
  },
  { what: 'no Host', hostLines: ['X: y'], reason: 'missing-host', isFor: http1Only },
  {
    what: 'another server name',
    serverName: 'other.test',
    reason: 'authority-mismatch',
    isFor: secureOnly,
  },
  { what: 'another port', port: 8443, reason: 'port-not-allowed', isFor: noTransparent },
  {
    what: 'an address that no rule lists',
    host: '203.0.113.8',
    reason: 'ip-not-on-allowlist',
    reasonOf: ({ name }) => (name.includes('translation') ? 'missing-host' : undefined),
  },
  {
    what: 'a name of a private address',
    host: 'private.test',
    path: '/ok/x',
    reason: 'resolved-address-denied',
  },
  {
    what: 'a name of the metadata address',
    host: 'metadata.test',
    reason: 'resolved-address-denied',
  },
  {
    what: 'a tunnel in it',
    bytes: `CONNECT ${HOST}:443 HTTP/1.1\r\nHost: ${HOST}:443\r\n\r\n`,
    reason: 'protocol-not-allowed',
    isFor: ({ name }) => name.includes('clear') || name === 'transparent http',
  },
  {
    what: 'SSH',
    bytes: 'SSH-2.0-OpenSSH_9.2\r\n',
    reason: 'protocol-not-allowed',
    isFor: ({ name }) => name !== 'absolute form',
  },
]

const TWIN: Asked = { method: 'GET', host: HOST, path: '/ok/twin' }

await inNetworks(t, import.meta.filename, [HOST, 'any.wide.test'], (networks) => {
  scenario(
    t,
    'every denial by every door',
    {
      listen: `socks: '127.0.0.1:${SOCKS_PORT}', transparent: { http: '0.0.0.0:80', tls: '0.0.0.0:443' }`,
      sources: ['127.0.0.0/8', SANDBOX_RANGE],
      config: CONFIG,
      rules: RULES,
    },
    async (cx, t) => {
      const place = { cx, networks, socksPort: SOCKS_PORT }
      for (const door of DOORS)
        await t.test(`R31, R36, R37, R41: by ${door.name}`, async (t) => {
          const ask = (asked: Partial<Asked>): Promise<string> =>
            door.ask({ ...TWIN, ...asked }, place)
          networks.arrivals()
          for (const each of CASES)
            if (each.isFor?.(door) !== false) await refuse(each, door, ask, cx, t)
          t.strictSame(networks.arrivals(), [], 'nothing was dialed')
          const before = cx.records().length
          t.match(await ask({}), /^HTTP\/1\.1 200/, 'the allowed twin')
          t.match(await ask({ host: 'ALLOWED.test' }), /^HTTP\/1\.1 200/, 'in capitals')
          t.match(await ask({ host: 'any.wide.test' }), /^HTTP\/1\.1 200/, 'below a wildcard')
          if (!door.name.includes('translation'))
            t.match(await ask({ host: '203.0.113.7' }), /^HTTP\/1\.1 200/, 'a listed address')
          await until(() => isOver(cx, before), 'all is over')
        })
      t.equal(cx.run('kill', '--all').status, 0)
      for (const door of DOORS) {
        const before = cx.terminal().length
        const answer = await door.ask(TWIN, place)
        if (answer !== '') t.match(answer, /Sallyport: task-ended/, `killed: ${door.name}`)
        await until(() => cx.terminal().length > before, `${door.name} is on record`)
        t.equal(cx.terminal().at(-1)?.event.reason, 'task-ended', `${door.name} is over`)
      }
    },
  )
})

async function refuse(
  each: Case,
  door: Door,
  ask: (asked: Partial<Asked>) => Promise<string>,
  cx: Scenario,
  t: Test,
): Promise<void> {
  const reason = each.reasonOf?.(door) ?? each.reason
  const before = cx.records().length
  const answer = await ask(each)
  if (answer !== '') t.match(answer, `Sallyport: ${reason}`, `${each.what}: ${reason}`)
  await until(() => isOver(cx, before), `all calls of "${each.what}" are over`)
  const ended = cx
    .records()
    .slice(before)
    .filter(({ event: { action } }) => action === 'call-ended' || action === 'call-denied')
  const told = ended.filter(({ event }) => event.reason === reason)
  t.equal(told.length > 0, true, `${each.what} is on record as ${reason}`)
  for (const record of told) t.equal(record.sallyport.call?.door, door.recorded)
  const ids = ended.map(({ sallyport }) => sallyport.call?.id)
  t.equal(new Set(ids).size, ids.length, `${each.what}: one record a call`)
  const passed = ended.filter(
    ({ event, sallyport: { call } }) => event.reason === 'allowed' && call?.kind !== 'tunnel',
  )
  t.strictSame(passed, [], `${each.what}: nothing passed`)
}

/** Whether something was refused or ended, and so is every call that was started and every tunnel around one. */
function isOver(cx: Scenario, from: number): boolean {
  const open = new Set<string>()
  const ended = new Set<string>()
  for (const { event, sallyport } of cx.records().slice(from)) {
    const { id = '', parent } = sallyport.call ?? {}
    if (parent !== undefined) open.add(parent)
    if (event.action === 'call-started') open.add(id)
    if (event.action === 'call-ended' || event.action === 'call-denied') ended.add(id)
  }
  return ended.size > 0 && [...open].every((id) => ended.has(id))
}
