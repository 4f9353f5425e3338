// The NATS sink against a real nats-server with JetStream: nothing lost and nothing stored twice, whatever happens to the
// server, the way to it and the sidecar.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'

import type { Child } from '../fixtures/child.ts'
import { makeNatsServer, NatsReader, noNats, type ReaderOptions } from '../fixtures/nats-server.ts'
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
const options = (url: string, more = '', limits = ''): Parameters<typeof scenario>[2] => ({
  hosts: ['nobody.test', 'nats.test'],
  rules,
  limits,
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

void t.test('NATS JetStream', { skip: noNats }, async (t) => {
  const { port, server, reader } = await startServer(t)
  void server
  scenario(
    t,
    'R54: each record is stored once under its id, in order',
    options(`nats://127.0.0.1:${port}`),
    async (cx, t) => {
      await callRefused(cx, 20)
      await compare(t, cx, reader)
      void [pki, sleep, startRelay]
    },
  )
})
