// The NATS sink against a real nats-server with JetStream: nothing lost and nothing stored twice, whatever happens to the
// server, the way to it and the sidecar.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'

import type { Child } from '../fixtures/child.ts'
import { makeNatsServer, NatsReader, noNats, type ReaderOptions } from '../fixtures/nats-server.ts'
import { makeDecentralised, makeNatsKey, signNonce } from '../fixtures/nats-keys.ts'
import { startRelay } from '../fixtures/relay.ts'
import {
  freePort,
  pki,
  request,
  ruleSet,
  scenario,
  sleep,
  until,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'

const SINK = 'backlog'

/** Calls that are refused: each makes one record. */
async function callRefused(cx: Scenario, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1)
    await cx.raw(request('GET', 'http://nobody.test/', 'nobody.test'))
}

/** What the journal has for a sink. */
function wanted(cx: Scenario): string[] {
  return cx
    .records()
    .filter(({ event }) => !/^call-(started|progress)$/.test(event.action))
    .map(({ event }) => event.id)
}

/** Waits until the stream holds what the journal has, then holds the one against the other. */
async function compare(t: Test, cx: Scenario, reader: NatsReader): Promise<void> {
  await until(async () => (await reader.count(SINK)) >= wanted(cx).length, 'all are stored')
  const stored = await reader.messages(SINK)
  const records = new Map(cx.records().map((record) => [record.event.id, record]))
  t.strictSame(
    stored.map(({ id }) => id),
    wanted(cx),
    'each once, in the order of the journal',
  )
  t.strictSame(
    stored.map(({ text }) => JSON.parse(text)),
    stored.map(({ id }) => records.get(id)),
    'as they are in the journal',
  )
}

const rules = ruleSet("id: other, allow: 'http://other.test:81'")
const options = (url: string, more = '', limits?: string): ScenarioOptions => ({
  hosts: ['nobody.test', 'nats.test'],
  rules,
  ...(limits !== undefined && { limits }),
  config: `sinks: [{ nats: { url: '${url}', subject: 'sallyport.{action}', stream: ${SINK} ${more} } }]\njournal: { denialsPerTaskPerSecond: 100000 }`,
})

async function startServer(
  t: Test,
  more?: string,
  reading?: ReaderOptions,
): Promise<{ port: number; server: Child; reader: NatsReader; directory: string }> {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-nats-'))
  const port = await freePort()
  const server = makeNatsServer(directory, port, more)
  await server.start()
  const reader = await NatsReader.connect(port, reading)
  await reader.addStream(SINK, ['sallyport.>'])
  t.teardown(async () => {
    reader.close()
    await server.end('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })
  return { port, server, reader, directory }
}

const log = (cx: Scenario, words: string): Promise<void> =>
  until(() => cx.log().includes(words), `the log says ${words}`)

void t.test('NATS JetStream', { skip: noNats }, async (t) => {
  const { port, reader } = await startServer(t)
  const relay = await startRelay(port)
  t.teardown(() => relay.close())
  t.beforeEach(() => reader.purge(SINK))

  scenario(
    t,
    'R54: each record is stored once under its id, in order, its action in the subject',
    options(`nats://127.0.0.1:${port}`),
    async (cx, t) => {
      await callRefused(cx, 20)
      await cx.raw(request('GET', 'http://nobody.test/a.b>*%00%0d%0aPUB%20x', 'nobody.test'))
      await compare(t, cx, reader)
      t.strictSame(
        [...new Set((await reader.messages(SINK)).map(({ subject }) => subject))].toSorted(),
        ['sallyport.call-denied', 'sallyport.rules-loaded', 'sallyport.task-created'],
      )
    },
  )

  scenario(
    t,
    'R54: a connection that is reset half-way costs no record and stores none twice',
    options(`nats://127.0.0.1:${relay.port}`),
    async (cx, t) => {
      await compare(t, cx, reader)
      for (const [at, bytes] of [500, 1500, 4000, 9000, 20_000].entries()) {
        relay.cutAfter(bytes)
        await callRefused(cx, 25)
        await until(() => relay.cuts() === at + 1, `a connection is cut after ${bytes} bytes`)
        await compare(t, cx, reader)
      }
    },
  )

  scenario(
    t,
    'R54: what was stored and not yet known to be when the sidecar was killed is not stored again',
    options(`nats://127.0.0.1:${relay.port}`, '', 'sinkTimeoutMs: 20000'),
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, reader)
      await until(
        async () => (await cx.metric('sallyport_sink_backlog_records')) === 0,
        'it is known',
      )
      const before = await reader.count(SINK)
      relay.mute(true)
      await callRefused(cx, 20)
      await until(async () => (await reader.count(SINK)) > before, 'more is stored')
      await cx.stop('SIGKILL')
      relay.mute(false)
      await cx.start()
      await callRefused(cx, 5)
      await compare(t, cx, reader)
    },
  )

  scenario(
    t,
    'R54: a sidecar killed again and again stores each record once',
    options(`nats://127.0.0.1:${port}`),
    async (cx, t) => {
      for (let round = 0; round < 5; round += 1) {
        await callRefused(cx, 15 + 7 * round)
        await cx.stop('SIGKILL')
        await cx.start()
      }
      await compare(t, cx, reader)
    },
  )
})

void t.test('NATS through failures of the server', { skip: noNats }, async (t) => {
  const away = await startServer(t)
  scenario(
    t,
    'R54: a server that was killed, and one that was stopped, gets what it missed, each record once',
    options(`nats://127.0.0.1:${away.port}`),
    async (cx, t) => {
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        let isOver = false
        const calls = (async () => {
          while (!isOver) await callRefused(cx, 1)
        })()
        await sleep(200)
        await away.server.end(signal)
        await sleep(200)
        await away.server.start()
        isOver = true
        await calls
      }
      await callRefused(cx, 5)
      const reader = await NatsReader.connect(away.port)
      await compare(t, cx, reader)
      reader.close()
    },
  )

  const frozen = await startServer(t)
  scenario(
    t,
    'R54: one that is frozen holds up no call, and gets all once it goes on, each record once',
    options(`nats://127.0.0.1:${frozen.port}`, '', 'sinkTimeoutMs: 500'),
    async (cx, t) => {
      await callRefused(cx, 5)
      frozen.server.signal('SIGSTOP')
      await callRefused(cx, 40)
      await log(cx, 'sink does not take records')
      await callRefused(cx, 5)
      await until(() => cx.terminal().length === 50, 'calls go on')
      frozen.server.signal('SIGCONT')
      await compare(t, cx, frozen.reader)
    },
  )
})

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
  const secure = await startServer(t, `${tlsBlock('')}\nauthorization { token: "${token}" }`, {
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
      { ...options(other ?? url, more), secrets: { NATS: token } },
      async (cx, t) => {
        await secure.reader.purge(SINK)
        await callRefused(cx, 5)
        if (words === undefined) await compare(t, cx, secure.reader)
        else {
          await log(cx, words)
          t.equal(await secure.reader.count(SINK), 0, 'nothing is stored')
          t.equal(
            relay.sent(),
            '',
            'nothing is said to a server that wants TLS and is not to have it',
          )
        }
      },
    )

  const mutual = await startServer(t, tlsBlock(`, ca_file: "${files}/ca.pem", verify: true`), {
    ca: pki.caPem,
    shown: client,
  })
  scenario(
    t,
    'R54: a server that asks for a certificate takes nothing without one',
    options(`tls://nats.test:${mutual.port}`),
    async (cx, t) => {
      await callRefused(cx, 5)
      await log(cx, 'sink does not take records')
      t.equal(await mutual.reader.count(SINK), 0)
    },
  )
  scenario(
    t,
    'R54: it takes the records of a sidecar that shows its certificate',
    {
      ...options(
        `tls://nats.test:${mutual.port}`,
        ', clientCert: client.pem, clientKey: client.key.secret',
      ),
      files: { 'client.pem': client.certPem, 'client.key.secret': client.keyPem },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, mutual.reader)
    },
  )
})

void t.test('how the sidecar proves itself to a NATS server', { skip: noNats }, async (t) => {
  const key = makeNatsKey('U')
  const login = (nonce: string): Record<string, string> => ({
    nkey: key.publicName,
    sig: signNonce(key, nonce),
  })
  const nkey = await startServer(t, `authorization { users: [{ nkey: ${key.publicName} }] }`, {
    login,
  })
  const seedFile = ', credentialsFile: nats.secret'
  scenario(
    t,
    'R54: by an nkey',
    { ...options(`nats://127.0.0.1:${nkey.port}`, seedFile), files: { 'nats.secret': key.seed } },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, nkey.reader)
      cx.guard('seed', key.seed)
    },
  )
  scenario(
    t,
    'R54: another nkey is refused',
    {
      ...options(`nats://127.0.0.1:${nkey.port}`, seedFile),
      files: { 'nats.secret': makeNatsKey('U').seed },
    },
    async (cx, t) => {
      const before = await nkey.reader.count(SINK)
      await callRefused(cx, 5)
      await log(cx, 'Authorization Violation')
      t.equal(await nkey.reader.count(SINK), before)
    },
  )

  const { configuration, credentials, login: byJwt } = makeDecentralised()
  const decentralised = await startServer(t, configuration, { login: byJwt })
  scenario(
    t,
    'R54: by the JWT and seed of a credentials file',
    {
      ...options(`nats://127.0.0.1:${decentralised.port}`, seedFile),
      files: { 'nats.secret': credentials },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, decentralised.reader)
    },
  )

  const users = `authorization { users: [
    { user: all, password: all-of-it }
    { user: writer, password: just-that, permissions: {
      publish: "sallyport.>", subscribe: "_INBOX.>" } }
    { user: reader, password: just-this, permissions: { publish: "other", subscribe: ">" } } ] }`
  const byName = await startServer(t, users, { login: { user: 'all', pass: 'all-of-it' } })
  scenario(
    t,
    'R54: by a user with a password, who may publish these subjects and hear the answers',
    {
      ...options(`nats://127.0.0.1:${byName.port}`, ', user: writer, password: { env: NATS }'),
      secrets: { NATS: 'just-that' },
    },
    async (cx, t) => {
      await callRefused(cx, 5)
      await compare(t, cx, byName.reader)
    },
  )
  scenario(
    t,
    'R54: one who may not publish them is told so, and nothing is stored',
    {
      ...options(`nats://127.0.0.1:${byName.port}`, ', user: reader, password: { env: NATS }'),
      secrets: { NATS: 'just-this' },
    },
    async (cx, t) => {
      await byName.reader.purge(SINK)
      await callRefused(cx, 5)
      await log(cx, 'Permissions Violation for Publish')
      t.equal(await byName.reader.count(SINK), 0)
    },
  )
})

void t.test('what a stream takes', { skip: noNats }, async (t) => {
  const small = await startServer(t, 'max_payload: 4096')
  scenario(
    t,
    'R54: a record larger than the server takes is named and left out; those around it are stored',
    options(`nats://127.0.0.1:${small.port}`),
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
        async () => (await small.reader.count(SINK)) >= wanted(cx).length - 1,
        'the others are stored',
      )
      t.equal(large().length, 1)
      t.strictSame(
        (await small.reader.messages(SINK)).map(({ id }) => id),
        wanted(cx).filter((id) => id !== large()[0]),
      )
      await log(cx, 'sink refuses records for good')
    },
  )

  const late = await startServer(t)
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
      await log(cx, 'no stream takes this subject')
      await late.reader.addStream('other', ['other.>'])
      await until(
        async () => (await late.reader.count('other')) >= wanted(cx).length,
        'all are stored',
      )
      t.strictSame(
        (await late.reader.messages('other')).map(({ id }) => id),
        wanted(cx),
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
      await log(cx, 'expected stream does not match')
      t.equal(await late.reader.count('other'), before)
    },
  )
  const full = await startServer(t)
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
      await log(cx, 'sink refuses records for good')
      const large = cx.records().find((record) => record.url?.path.includes('long/'))
      await until(
        async () => (await full.reader.count('full')) >= wanted(cx).length - 1,
        'the others are stored',
      )
      t.notOk((await full.reader.messages('full')).some(({ id }) => id === large?.event.id))
    },
  )
})
