// The receivers and sinks of docs/sinks.md as they stand there, but for paths, ports, names and passwords.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'

import { makeNatsServerOf, NatsReader, noNats } from '../fixtures/nats-server.ts'
import { makeRsyslogOf, noRsyslog } from '../fixtures/rsyslog.ts'
import { freePort, pki, ruleSet, scenario, until } from '../fixtures/scenario.ts'
import { callRefused, wantedIds } from '../fixtures/sink-records.ts'

const documentation = readFileSync('docs/sinks.md', 'utf8')

/** The first block of a language behind a heading, each text replaced. */
function blockOf(heading: string, language: string, replaced: Record<string, string>): string {
  const behind = documentation.slice(documentation.indexOf(`\n${heading}\n`))
  const block = new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(behind)?.[1]
  if (block === undefined) throw new Error(`no ${language} behind ${heading}`)
  return Object.entries(replaced).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`${from} is not in ${heading}`)
    return text.replaceAll(from, to)
  }, block)
}

function freshDirectory(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-documented-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const { certPem, keyPem } = pki.issue({ names: ['logs.example.com', 'nats.example.com'] })
  writeFileSync(path.join(directory, 'ca.pem'), pki.caPem)
  writeFileSync(path.join(directory, 'server.pem'), certPem)
  writeFileSync(path.join(directory, 'server.key'), keyPem)
  return directory
}

const rules = ruleSet("id: other, allow: 'http://other.test:81'")

void t.test('rsyslog', { skip: noRsyslog }, async (t) => {
  const directory = freshDirectory(t)
  const port = await freePort()
  const written = path.join(directory, 'received.ndjson')
  const configuration = blockOf('### rsyslog', 'rsyslog', {
    '/var/spool/rsyslog': directory,
    '/etc/rsyslog.d/tls': directory,
    '/var/log/sallyport.ndjson': written,
    'port="6514"': `port="${port}"`,
  })
  const rsyslog = makeRsyslogOf(directory, port, configuration)
  await rsyslog.start()
  t.teardown(() => rsyslog.end('SIGKILL'))
  const client = pki.issue({ names: ['sidecar.example.com'], usage: 'clientAuth' })
  scenario(
    t,
    'R54: the documented rsyslog takes the records of the documented sink',
    {
      hosts: ['nobody.test', 'logs.example.com'],
      rules,
      config: blockOf('## Syslog', 'yaml', {
        'example.com:6514': `example.com:${port}`,
        'sidecar.key': 'sidecar.key.secret',
      }),
      files: {
        'certs/logs-ca.pem': pki.caPem,
        'certs/sidecar.pem': client.certPem,
        'certs/sidecar.key.secret': client.keyPem,
      },
    },
    async (cx, t) => {
      const ids = (): string[] =>
        (existsSync(written) ? readFileSync(written, 'utf8') : '')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line).event.id)
      await callRefused(cx, 5)
      await until(() => ids().length >= wantedIds(cx).length, 'all are written')
      t.strictSame([...new Set(ids())], wantedIds(cx))
    },
  )
})

void t.test('nats-server', { skip: noNats }, async (t) => {
  const directory = freshDirectory(t)
  const port = await freePort()
  const password = 'only-of-the-sidecar'
  const configuration = blockOf('### nats-server', 'nats', {
    '0.0.0.0:4222': `127.0.0.1:${port}`,
    '/var/lib/nats': path.join(directory, 'store'),
    '/etc/nats': directory,
    $ADMIN_PASSWORD: '"only-of-the-admin"',
    $SALLYPORT_PASSWORD: `"${password}"`,
  })
  const server = makeNatsServerOf(directory, port, configuration)
  await server.start()
  t.teardown(() => server.end('SIGKILL'))
  const reader = await NatsReader.connect(port, {
    login: { user: 'admin', pass: 'only-of-the-admin' },
    ca: pki.caPem,
    name: 'nats.example.com',
  })
  t.teardown(() => reader.close())
  const { name, subjects, ...more } = JSON.parse(blockOf('### nats-server', 'json', {}))
  await reader.addStream(name, subjects, more)
  scenario(
    t,
    'R54: the documented nats-server takes the records of the documented sink',
    {
      hosts: ['nobody.test', 'nats.example.com'],
      rules,
      config: blockOf('## NATS', 'yaml', { 'example.com:4222': `example.com:${port}` }),
      secrets: { NATS_PASSWORD: password },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await until(async () => (await reader.count(name)) >= wantedIds(cx).length, 'all are stored')
      t.strictSame(
        (await reader.messages(name)).map(({ id }) => id),
        wantedIds(cx),
      )
    },
  )
})
