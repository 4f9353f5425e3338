import t from 'tap'

import type { SinkDefinition } from '../../../../src/config/sink-definition.ts'
import { resolveSink, sinkSchema } from '../../../../src/config/sink-schema.ts'

const taken = (written: unknown): SinkDefinition =>
  resolveSink(sinkSchema.parse(written), (path) => `/etc/${path}`)
const refused = (written: unknown): string =>
  sinkSchema
    .safeParse(written)
    .error?.issues.map(({ message }) => message)
    .join() ?? 'taken'

void t.test('a syslog sink', async (t) => {
  t.match(taken({ syslog: { address: 'Logs.Example.com:6514' } }), {
    kind: 'syslog',
    name: /^syslog-[0-9a-f]{12}$/,
    address: { host: 'logs.example.com', port: 6514 },
    insecurePlaintext: false,
    facility: 13,
    appName: 'sallyport',
    format: 'ndjson',
  })
  const files = { ca: 'ca.pem', clientCert: 'c.pem', clientKey: 'c.key' }
  t.match(taken({ syslog: { address: '[::1]:601', facility: 'local7', ...files } }), {
    address: { host: '::1', port: 601 },
    facility: 23,
    ca: '/etc/ca.pem',
    clientCert: '/etc/c.pem',
    clientKey: '/etc/c.key',
  })
  const address = 'logs.test:6514'
  t.match(refused({ syslog: {} }), /expected HOST:PORT/)
  t.match(refused({ syslog: { address: 'logs.test' } }), /expected HOST:PORT/)
  t.match(refused({ syslog: { address, clientCert: 'c.pem' } }), /both/)
  t.match(refused({ syslog: { address, insecurePlaintext: true, ca: 'ca.pem' } }), /without TLS/)
  t.match(refused({ syslog: { address, appName: 'two words' } }), /printable ASCII/)
  t.not(refused({ syslog: { address, facility: 'local8' } }), 'taken')
  t.not(refused({ syslog: { address, verify: false } }), 'taken', 'verification is never off')
})

void t.test('a NATS sink', async (t) => {
  const url = 'tls://nats.test:4222'
  const subject = 'sallyport.{task}.{action}'
  t.match(taken({ nats: { url, subject, stream: 'S', credentialsFile: 'a.creds' } }), {
    kind: 'nats',
    name: /^nats-[0-9a-f]{12}$/,
    url,
    subject,
    stream: 'S',
    credentialsFile: '/etc/a.creds',
  })
  t.match(taken({ nats: { url: 'nats://127.0.0.1:4222', subject: 'records' } }), {
    token: undefined,
  })
  t.match(refused({ nats: { url: 'https://nats.test:4222', subject } }), /nats:\/\/HOST:PORT/)
  t.match(refused({ nats: { url: 'nats://a:b@nats.test:4222', subject } }), /nats:\/\/HOST:PORT/)
  for (const wrong of ['', 'a..b', 'a.*', '>', 'a b', 'a\r\nPUB x', '{host}', 'a.{task', '.a', 'é'])
    t.match(refused({ nats: { url, subject: wrong } }), /expected words/, wrong)
  t.match(refused({ nats: { url, subject, user: 'u' } }), /both user and password/)
  t.match(refused({ nats: { url, subject, token: 'a', credentialsFile: 'b' } }), /expected one of/)
  t.match(refused({ nats: { url, subject, clientKey: 'k' } }), /both/)
  t.match(refused({ nats: { url: 'nats://a.test:4222', subject, ca: 'c' } }), /without TLS/)
  t.not(refused({ nats: { url, subject, stream: 'a.b' } }), 'taken')
})
