// Sinks seen from outside, with the real program and a real receiver: outages, slowness, crashes, and the end of a backlog.
// Nothing is lost, repeated records are told by `event.id`, and a sink delays nobody.

import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'

import t, { type Test } from 'tap'

import { portOf } from '../fixtures/port.ts'
import {
  freePort,
  request,
  ruleSet,
  Scenario,
  scenario,
  until,
  type JournalRecord,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const parse = (line: string): JournalRecord => JSON.parse(line)
const LOOPBACK = 'addresses: [127.0.0.0/8]'

/** A receiver of NDJSON whose answers are told from test to test. */
class Receiver {
  readonly records: JournalRecord[] = []
  readonly authorizations = new Set<string | undefined>()
  posts = 0
  /** Answers a post whose body is there; taken by default. */
  answer: (incoming: IncomingMessage, response: ServerResponse, body: Buffer) => void
  /** Keeps what came and says so. */
  readonly take: Receiver['answer']
  readonly #server = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('error', () => undefined)
    response.on('error', () => undefined)
    incoming.on('end', () => {
      this.posts += 1
      this.authorizations.add(incoming.headers.authorization)
      this.answer(incoming, response, Buffer.concat(chunks))
    })
  })

  constructor() {
    this.take = (incoming, response, body) => {
      this.keep(incoming, body)
      response.writeHead(200).end()
    }
    this.answer = this.take
  }

  static async start(t: Test): Promise<Receiver> {
    const receiver = new Receiver()
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      receiver.#server.closeAllConnections()
      receiver.#server.close()
    })
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}/in`
  }

  keep(incoming: IncomingMessage, body: Buffer): void {
    const text = incoming.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    for (const line of text.toString().split('\n').slice(0, -1)) this.records.push(parse(line))
  }

  /** The ends of calls, without repeated ones, in the order in which they came first. */
  calls(): string[] {
    const ids = this.records.flatMap(({ event, sallyport }) =>
      event.action === 'call-ended' ? [sallyport.call?.id ?? ''] : [],
    )
    return [...new Set(ids)]
  }

  gaps(): Record<string, unknown>[] {
    return this.records
      .filter(({ event }) => event.action === 'sink-gap')
      .map(({ sallyport }) => sallyport.detail ?? {})
  }
}

void t.test('sinks', async (t) => {
  const plain = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => plain.close())
  const host = `plain.test:${plain.port}`
  const rules = ruleSet(
    `id: usual, allow: 'http://${host}', paths: [/ok], accepts: confidential, ${LOOPBACK}`,
    `id: secret, allow: 'http://${host}', paths: [/secret], data: confidential, accepts: confidential, ${LOOPBACK}`,
  )
  const call = (cx: Scenario, target = '/ok'): Promise<string> =>
    cx.raw(request('GET', `http://${host}${target}`, host))
  const ended = (cx: Scenario): string[] =>
    cx
      .records()
      .filter(({ event }) => event.action === 'call-ended')
      .map(({ sallyport }) => sallyport.call?.id ?? '')
  const ready = (cx: Scenario): Promise<{ status: number; text: string }> =>
    fetch(`http://127.0.0.1:${cx.healthPort}/readyz`).then(async (response) => ({
      status: response.status,
      text: await response.text(),
    }))
  const siem = await Receiver.start(t)
  const fresh = (): void => {
    siem.records.length = 0
    siem.posts = 0
    siem.answer = siem.take
  }
  const options = (keys: string, more = ''): ScenarioOptions => ({
    hosts: ['plain.test'],
    rules,
    secrets: { SIEM: 'sink-canary-0123456789' },
    config: `journal: { maxBytes: 64MiB }\nsinks:\n  - http: { name: siem, url: '${siem.url}', headers: { authorization: { env: SIEM } }, ${keys} }\n${more}`,
  })

  scenario(
    t,
    'R54: 503, a wish to wait, a reset half-way, silence and kill -9 lose nothing; what comes twice has one id',
    options('compress: gzip, format: ecs', '  - file: { path: out/records.ndjson }\n'),
    async (cx, t) => {
      fresh()
      siem.answer = (_incoming, response) => response.writeHead(503).end()
      for (let at = 0; at < 3; at += 1) await call(cx)
      await until(() => siem.posts >= 2, 'it was tried again')
      siem.answer = (_incoming, response) => response.writeHead(429, { 'retry-after': '1' }).end()
      await call(cx)
      const before = siem.posts
      await until(() => siem.posts > before, 'it was tried after the wish')
      siem.answer = (incoming) => incoming.socket.destroy()
      await call(cx)
      const reset = siem.posts
      await until(() => siem.posts > reset, 'it was cut')
      await cx.stop('SIGKILL')
      await cx.start()
      await call(cx)
      fresh()
      await until(() => siem.calls().length === ended(cx).length, 'all are there')
      t.strictSame(siem.calls(), ended(cx), 'in order')
      t.equal(siem.calls().length, 6)
      t.strictSame([...siem.authorizations], ['sink-canary-0123456789'])
      siem.answer = (incoming, response, body) => {
        siem.keep(incoming, body)
        siem.answer = siem.take
        response.destroy()
      }
      await call(cx)
      const seen = (): number =>
        siem.records.filter(({ event }) => event.action === 'call-ended').length
      await until(() => seen() === 8, 'the one whose answer was lost came twice')
      t.strictSame(siem.calls(), ended(cx))
      const lines = readFileSync(path.join(cx.directory, 'out/records.ndjson'), 'utf8')
      const ids = lines
        .split('\n')
        .slice(0, -1)
        .map((line) => parse(line).sallyport.call?.id)
      t.strictSame([...new Set(ids.filter((id) => ended(cx).includes(id ?? '')))], ended(cx))
    },
  )

  scenario(
    t,
    'R54: at the end of its backlog a sink stops calling out, says so, and lets go once it has drained',
    { ...options('all: false'), limits: 'sinkBacklogBytesMax: 20KiB' },
    async (cx, t) => {
      fresh()
      siem.answer = (_incoming, response) => response.writeHead(503).end()
      t.match(await ready(cx), { status: 200, text: /"name":"sink-siem","ready":true/ })
      await until(async () => (await call(cx)).startsWith('HTTP/1.1 503'), 'calls are refused')
      const before = plain.seen.length
      const answer = await call(cx)
      t.match(answer, /^HTTP\/1\.1 503 Sallyport: audit-unavailable/)
      t.notMatch(answer, /siem/, 'the sandbox is told no name')
      t.equal(plain.seen.length, before, 'nothing left')
      const { status, text } = await ready(cx)
      t.equal(status, 503)
      t.match(text, /"name":"sink-siem","ready":false,"detail":"the backlog is at its bound/)
      t.notMatch(text, /plain\.test|127\.0\.0\.1/)
      t.ok((await cx.metric('sallyport_sink_backlog_bytes')) >= 20 * 1024)
      fresh()
      await until(async () => (await call(cx)).startsWith('HTTP/1.1 200'), 'calls go on')
      t.equal((await ready(cx)).status, 200)
      await until(() => siem.calls().length === ended(cx).length, 'all are there')
      t.strictSame(siem.calls(), ended(cx), 'nothing is lost')
      t.strictSame(siem.gaps(), [])
    },
  )

  scenario(
    t,
    'R54: a sink that may skip goes on with an exact gap, and never without what is regulated',
    options(
      'backlogBytes: 20KiB, onBacklogFull: drop-with-gap-record',
      '  - file: { path: out/records.ndjson }\n',
    ),
    async (cx, t) => {
      fresh()
      siem.answer = (_incoming, response) => response.writeHead(503).end()
      await until(async () => {
        t.match(await call(cx), /^HTTP\/1\.1 200/)
        return (await cx.metric('sallyport_sink_gaps_total')) >= 1
      }, 'it has skipped')
      t.match(await call(cx, '/secret'), /^HTTP\/1\.1 200/, 'regulated data while there is room')
      await until(async () => {
        t.match(await call(cx), /^HTTP\/1\.1 200/, 'usual calls go on')
        return (await call(cx, '/secret')).startsWith('HTTP/1.1 503 Sallyport: audit-unavailable')
      }, 'calls for regulated data wait')
      t.match(await ready(cx), { status: 200, text: /calls for regulated data are refused/ })
      fresh()
      await until(
        async () => (await cx.metric('sallyport_sink_backlog_records')) === 0,
        'it has the rest',
      )
      const gaps = siem.gaps()
      const lost = gaps.reduce((sum, { count }) => sum + Number(count), 0)
      const inGaps = cx.records().filter(({ event, sallyport: { chain } }) => {
        if (/^call-(?:started|progress)$|^sink-gap$/.test(event.action)) return false
        return gaps.some(({ from, to }) => chain.seq >= Number(from) && chain.seq <= Number(to))
      })
      t.ok(lost > 0)
      t.equal(lost, inGaps.length, 'as many as there are in the journal')
      const secret = inGaps.filter(({ url }) => url?.path === '/secret')
      t.strictSame(secret, [], 'none of them regulated')
      const got = new Set(siem.records.map(({ event }) => event.id))
      t.notOk(inGaps.some(({ event }) => got.has(event.id)))
      t.match(await call(cx, '/secret'), /^HTTP\/1\.1 200/, 'regulated data again')
      const kept = (): string => readFileSync(path.join(cx.directory, 'out/records.ndjson'), 'utf8')
      await until(() => kept().includes('"action":"sink-gap"'), 'the other sink is told too')
    },
  )

  scenario(
    t,
    'R54: receivers that answer never, or one byte a second, delay neither calls nor another sink',
    {
      ...options('all: true', '  - file: { path: out/records.ndjson }\n'),
      limits: 'sinkTimeoutMs: 500',
    },
    async (cx, t) => {
      fresh()
      siem.answer = (_incoming, response) => {
        response.writeHead(200, { 'content-length': 1000 })
        const timer = setInterval(() => response.write('x'), 1000)
        response.on('close', () => clearInterval(timer))
      }
      const file = path.join(cx.directory, 'out/records.ndjson')
      const kept = (): string[] =>
        (existsSync(file) && readFileSync(file, 'utf8').match(/"action":"call-ended"/g)) || []
      for (let at = 0; at < 20; at += 1) t.match(await call(cx), /^HTTP\/1\.1 200/)
      await until(() => kept().length === 20, 'the file has all')
      await until(() => siem.posts >= 2, 'the slow one was given up and tried again')
      siem.answer = () => undefined
      for (let at = 0; at < 20; at += 1) t.match(await call(cx), /^HTTP\/1\.1 200/)
      await until(() => kept().length === 40, 'the file has all')
      fresh()
      await until(() => siem.calls().length === 40, 'the slow one has all once it is quick')
    },
  )

  void t.test('R54: SIGTERM ends it although nobody reads its standard output', async (t) => {
    const cx = new Scenario({ hosts: ['plain.test'], rules, config: 'sinks: [{ stdout: {} }]' })
    t.teardown(() => cx.finish(t))
    cx.proxyPort = await freePort()
    cx.healthPort = await freePort()
    cx.writeConfig()
    const pipe = path.join(cx.directory, 'pipe')
    t.equal(spawnSync('mkfifo', [pipe]).status, 0)
    const unread = openSync(pipe, 'r+')
    const words = ['bin/sallyport.js', 'start', '--config', cx.configFile]
    const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...words], {
      cwd: path.join(import.meta.dirname, '../..'),
      stdio: ['ignore', unread, 'ignore'],
    })
    closeSync(unread)
    t.teardown(() => child.kill('SIGKILL'))
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const waiting = (): Promise<number> =>
      cx.metric('sallyport_sink_backlog_records').catch(() => Number.NaN)
    await until(async () => (await waiting()) >= 0, 'it listens')
    for (let at = 0; at < 80; at += 1) await call(cx)
    await until(async () => (await waiting()) > 0, 'the pipe is full')
    child.kill('SIGTERM')
    t.equal(await exited, 0)
  })
})
