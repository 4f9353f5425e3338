// What the NATS sink has to show a server, and what a server and a stream do not take: against a real nats-server.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { makeDecentralised, makeNatsKey, signNonce } from '../fixtures/nats-keys.ts'
import { noNats } from '../fixtures/nats-server.ts'
import {
  compareStream,
  logged,
  natsOptions,
  rules,
  SINK,
  startNatsServer,
} from '../fixtures/nats-sink.ts'
import { startRelay } from '../fixtures/relay.ts'
import { pki, request, scenario, until } from '../fixtures/scenario.ts'
import { callRefused, wantedIds } from '../fixtures/sink-records.ts'

void t.test('what a NATS server asks for', { skip: noNats }, async (t) => {
  const identity = pki.issue({ names: ['nats.test'] })
  const client = pki.issue({ names: ['sidecar.test'], usage: 'clientAuth' })
  const files = mkdtempSync(path.join(tmpdir(), 'sallyport-nats-tls-'))
  t.teardown(() => rmSync(files, { recursive: true, force: true }))
  writeFileSync(path.join(files, 'server.pem'), identity.certPem)
  writeFileSync(path.join(files, 'server.key'), identity.keyPem)
  writeFileSync(path.join(files, 'ca.pem'), pki.caPem)
  const tlsBlock = (more: string): string =>
    `tls { cert_file: "${files}/server.pem", key_file: "${files}/server.key"${more} }`
  const token = 'a-token-of-the-operator'
  const secure = await startNatsServer(t, `${tlsBlock('')}\nauthorization { token: "${token}" }`, {
    login: { auth_token: token },
    ca: pki.caPem,
  })
  const relay = await startRelay(secure.port)
  t.teardown(() => relay.close())
  const url = `tls://nats.test:${secure.port}`
  const cases: { title: string; more: string; url?: string; words?: string }[] = [
    { title: 'by TLS and token the records are taken', more: ', token: { env: NATS }' },
    { title: 'without the token none is', more: '', words: 'Authorization Violation' },
    {
      title: 'without TLS none is, and the token is not shown',
      more: ', token: { env: NATS }',
      url: `nats://nats.test:${relay.port}`,
      words: 'write tls:// for nats://',
    },
    {
      title: 'of another name than its certificate has none is',
      more: ', token: { env: NATS }',
      url: `tls://nobody.test:${secure.port}`,
      words: 'sink does not take records',
    },
  ]
  for (const { title, more, url: other, words } of cases)
    scenario(
      t,
      `R54: ${title}`,
      { ...natsOptions(other ?? url, more), secrets: { NATS: token } },
      async (cx, t) => {
        await secure.reader.purge(SINK)
        await callRefused(cx, 5)
        if (words === undefined) await compareStream(t, cx, secure.reader)
        else {
          await logged(cx, words)
          t.equal(await secure.reader.count(SINK), 0, 'nothing is stored')
          t.equal(
            relay.sent(),
            '',
            'nothing is said to a server that wants TLS and is not to have it',
          )
        }
      },
    )

  const mutual = await startNatsServer(t, tlsBlock(`, ca_file: "${files}/ca.pem", verify: true`), {
    ca: pki.caPem,
    shown: client,
  })
  scenario(
    t,
    'R54: a server that asks for a certificate takes nothing without one',
    natsOptions(`tls://nats.test:${mutual.port}`),
    async (cx, t) => {
      await callRefused(cx, 5)
      await logged(cx, 'sink does not take records')
      t.equal(await mutual.reader.count(SINK), 0)
    },
  )
  scenario(
    t,
    'R54: it takes the records of a sidecar that shows its certificate',
    {
      ...natsOptions(
        `tls://nats.test:${mutual.port}`,
        ', clientCert: client.pem, clientKey: client.key.secret',
      ),
      files: { 'client.pem': client.certPem, 'client.key.secret': client.keyPem },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareStream(t, cx, mutual.reader)
    },
  )
})

void t.test('how the sidecar proves itself to a NATS server', { skip: noNats }, async (t) => {
  const key = makeNatsKey('U')
  const login = (nonce: string): Record<string, string> => ({
    nkey: key.publicName,
    sig: signNonce(key, nonce),
  })
  const nkey = await startNatsServer(t, `authorization { users: [{ nkey: ${key.publicName} }] }`, {
    login,
  })
  const seedFile = ', credentialsFile: nats.secret'
  scenario(
    t,
    'R54: by an nkey',
    {
      ...natsOptions(`nats://127.0.0.1:${nkey.port}`, seedFile),
      files: { 'nats.secret': key.seed },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareStream(t, cx, nkey.reader)
      cx.guard('seed', key.seed)
    },
  )
  scenario(
    t,
    'R54: another nkey is refused',
    {
      ...natsOptions(`nats://127.0.0.1:${nkey.port}`, seedFile),
      files: { 'nats.secret': makeNatsKey('U').seed },
    },
    async (cx, t) => {
      const before = await nkey.reader.count(SINK)
      await callRefused(cx, 5)
      await logged(cx, 'Authorization Violation')
      t.equal(await nkey.reader.count(SINK), before)
    },
  )

  const { configuration, credentials, login: byJwt } = makeDecentralised()
  const decentralised = await startNatsServer(t, configuration, { login: byJwt })
  scenario(
    t,
    'R54: by the JWT and seed of a credentials file',
    {
      ...natsOptions(`nats://127.0.0.1:${decentralised.port}`, seedFile),
      files: { 'nats.secret': credentials },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareStream(t, cx, decentralised.reader)
    },
  )

  const users = `authorization { users: [
    { user: all, password: all-of-it }
    { user: writer, password: just-that, permissions: {
      publish: "sallyport.>", subscribe: "_INBOX.>" } }
    { user: reader, password: just-this, permissions: { publish: "other", subscribe: ">" } } ] }`
  const byName = await startNatsServer(t, users, { login: { user: 'all', pass: 'all-of-it' } })
  scenario(
    t,
    'R54: by a user with a password, who may publish these subjects and hear the answers',
    {
      ...natsOptions(`nats://127.0.0.1:${byName.port}`, ', user: writer, password: { env: NATS }'),
      secrets: { NATS: 'just-that' },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compareStream(t, cx, byName.reader)
    },
  )
  scenario(
    t,
    'R54: one who may not publish them is told so, and nothing is stored',
    {
      ...natsOptions(`nats://127.0.0.1:${byName.port}`, ', user: reader, password: { env: NATS }'),
      secrets: { NATS: 'just-this' },
    },
    async (cx, t) => {
      await byName.reader.purge(SINK)
      await callRefused(cx, 5)
      await logged(cx, 'Permissions Violation for Publish')
      t.equal(await byName.reader.count(SINK), 0)
    },
  )
})

void t.test('what a stream takes', { skip: noNats }, async (t) => {
  const small = await startNatsServer(t, 'max_payload: 4096')
  scenario(
    t,
    'R54: a record larger than the server takes is named and left out; those around it are stored',
    natsOptions(`nats://127.0.0.1:${small.port}`),
    async (cx, t) => {
      await callRefused(cx, 3)
      await cx.raw(request('GET', `http://nobody.test/${'long/'.repeat(1000)}`, 'nobody.test'))
      await callRefused(cx, 3)
      const large = (): string[] =>
        cx
          .records()
          .filter((record) => JSON.stringify(record).length > 4096)
          .map(({ event }) => event.id)
      await until(
        async () => (await small.reader.count(SINK)) >= wantedIds(cx).length - 1,
        'the others are stored',
      )
      t.equal(large().length, 1)
      t.strictSame(
        (await small.reader.messages(SINK)).map(({ id }) => id),
        wantedIds(cx).filter((id) => id !== large()[0]),
      )
      await logged(cx, 'sink refuses records for good')
    },
  )

  const late = await startNatsServer(t)
  scenario(
    t,
    'R54: a subject that no stream takes is tried on until one does',
    {
      hosts: ['nobody.test'],
      rules,
      config: `sinks: [{ nats: { url: 'nats://127.0.0.1:${late.port}', subject: other.records } }]`,
    },
    async (cx, t) => {
      await callRefused(cx, 3)
      await logged(cx, 'no stream takes this subject')
      t.notMatch(cx.log(), /"left"|"data"/, 'what is left is not in the log')
      await late.reader.addStream('other', ['other.>'])
      await until(
        async () => (await late.reader.count('other')) >= wantedIds(cx).length,
        'all are stored',
      )
      t.strictSame(
        (await late.reader.messages('other')).map(({ id }) => id),
        wantedIds(cx),
      )
    },
  )
  scenario(
    t,
    'R54: another stream than the one that has to take them stores none',
    {
      hosts: ['nobody.test'],
      rules,
      config: `sinks: [{ nats: { url: 'nats://127.0.0.1:${late.port}', subject: other.records, stream: ${SINK} } }]`,
    },
    async (cx, t) => {
      const before = await late.reader.count('other')
      await callRefused(cx, 3)
      await logged(cx, 'expected stream does not match')
      t.equal(await late.reader.count('other'), before)
    },
  )
  const full = await startNatsServer(t)
  await full.reader.addStream('full', ['full.>'], { max_msg_size: 1500, discard: 'new' })
  scenario(
    t,
    'R54: a record larger than the stream takes is left out as well',
    {
      hosts: ['nobody.test'],
      rules,
      config: `sinks: [{ nats: { url: 'nats://127.0.0.1:${full.port}', subject: full.records } }]`,
    },
    async (cx, t) => {
      await callRefused(cx, 2)
      await cx.raw(request('GET', `http://nobody.test/${'long/'.repeat(200)}`, 'nobody.test'))
      await callRefused(cx, 2)
      await logged(cx, 'sink refuses records for good')
      const large = cx.records().find((record) => record.url?.path.includes('long/'))
      await until(
        async () => (await full.reader.count('full')) >= wantedIds(cx).length - 1,
        'the others are stored',
      )
      t.notOk((await full.reader.messages('full')).some(({ id }) => id === large?.event.id))
    },
  )
})
