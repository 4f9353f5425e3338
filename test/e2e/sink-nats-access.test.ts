// What the NATS sink has to show a server, against a real nats-server.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { makeDecentralised, makeNatsKey, signNonce } from '../fixtures/nats-keys.ts'
import { noNats } from '../fixtures/nats-server.ts'
import { compareStream, logged, natsOptions, SINK, startNatsServer } from '../fixtures/nats-sink.ts'
import { startRelay } from '../fixtures/relay.ts'
import { pki, scenario } from '../fixtures/scenario.ts'
import { callRefused } from '../fixtures/sink-records.ts'

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
