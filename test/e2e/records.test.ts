// The journal and its sinks seen from outside: every call on record once, in an unbroken chain, whatever happens to the
// client, the process, the disk or the sink.

import { spawnSync } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, statSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t from 'tap'

import {
  exchange,
  freePort,
  readHead,
  request,
  ruleSet,
  scenario,
  sleep,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const parse = (line: string): JournalRecord => JSON.parse(line)
const LOOPBACK = 'addresses: [127.0.0.0/8]'

/** The segment that is written to. */
const segmentOf = (cx: Scenario): string => {
  const directory = path.join(cx.directory, 'journal')
  const name = readdirSync(directory)
    .filter((one) => one.endsWith('.ndjson'))
    .toSorted()
    .at(-1)!
  return path.join(directory, name)
}

void t.test('records', async (t) => {
  const plain = await startHttp({
    handler: ({ url, rawHeaders }) => ({ body: url === '/echo' ? rawHeaders.join() : 'ok' }),
  })
  const secure = await startSecure(['secure.test'])
  const echo = await startEcho()
  const slow = await startHttp({
    raw: (incoming, response) => {
      incoming.resume()
      response.writeHead(200)
      response.write('begun')
      const timer = setInterval(() => response.write(Buffer.alloc(16_384, 'x')), 20)
      response.on('close', () => clearInterval(timer))
    },
  })
  t.teardown(() => Promise.all([plain, secure, echo, slow].map((one) => one.close())))
  const host = {
    plain: `plain.test:${plain.port}`,
    secure: `secure.test:${secure.port}`,
    echo: `echo.test:${echo.port}`,
    slow: `slow.test:${slow.port}`,
    nobody: `nobody.test:${await freePort()}`,
  }
  const hosts = ['plain.test', 'secure.test', 'echo.test', 'slow.test', 'nobody.test']
  const rules = ruleSet(
    `id: plain, allow: 'http://${host.plain}', methods: [GET, POST], paths: [/ok, /echo], ${LOOPBACK}`,
    `id: secret, deny: 'http://${host.plain}', paths: [/secret]`,
    `id: secure, allow: 'https://${host.secure}', ${LOOPBACK}`,
    `id: echo, allow: 'tcp://${host.echo}', ${LOOPBACK}`,
    `id: slow, allow: 'http://${host.slow}', ${LOOPBACK}`,
    `id: nobody, allow: 'http://${host.nobody}', ${LOOPBACK}`,
  )
  const options = {
    hosts,
    rules,
    limits: 'denialsSuspendMax: 1000000',
    config: 'journal: { denialsPerTaskPerSecond: 100000 }',
  }
  const get = (target: string, keep = false): string =>
    request('GET', `http://${host.plain}${target}`, host.plain, { keep })

  scenario(
    t,
    'R50: every attempt yields exactly one terminal record, and the sequence has no gap',
    options,
    async (cx, t) => {
      const abandon = async (): Promise<string> => {
        const socket = net.connect(cx.proxyPort, '127.0.0.1')
        socket.write(request('GET', `http://${host.slow}/`, host.slow))
        await readHead(socket)
        socket.destroy()
        return ''
      }
      // Each kind of call, how many records it ends in, and their reasons.
      const kinds: [() => Promise<string>, readonly string[]][] = [
        [() => cx.raw(get('/ok')), ['allowed']],
        [
          () => cx.raw(get('/ok', true) + get('/no', true) + get('/ok')),
          ['allowed', 'path-not-allowed', 'allowed'],
        ],
        [() => cx.raw(get('/secret')), ['denied-by-rule']],
        [
          () => cx.raw(request('DELETE', `http://${host.plain}/ok`, host.plain)),
          ['method-not-allowed'],
        ],
        [() => cx.raw(request('GET', 'http://other.test/', 'other.test')), ['not-on-allowlist']],
        [() => cx.raw('GET /%zz HTTP/1.1\r\nConnection: close\r\n\r\n'), ['missing-host']],
        [() => cx.raw('nonsense\r\n\r\n'), ['malformed-request-line']],
        [() => cx.raw(request('GET', `http://${host.nobody}/`, host.nobody)), ['dial-failed']],
        [
          () => cx.raw(`CONNECT other.test:1 HTTP/1.1\r\nHost: other.test:1\r\n\r\n`),
          ['not-on-allowlist'],
        ],
        [
          async () => exchange(await cx.secure(host.secure), request('GET', '/', host.secure)),
          ['allowed', 'allowed'],
        ],
        [
          async () => {
            const socket = await cx.connect(host.echo)
            socket.end('x')
            return exchange(socket, '')
          },
          ['allowed'],
        ],
        [abandon, ['client-gone']],
      ]
      const ROUNDS = 700
      const expected = new Map<string, number>()
      for (let round = 0; round < ROUNDS; round += 1) {
        await Promise.all(kinds.map(([run]) => run()))
        for (const reason of kinds.flatMap(([, reasons]) => reasons))
          expected.set(reason, (expected.get(reason) ?? 0) + 1)
      }
      const total = [...expected.values()].reduce((sum, count) => sum + count, 0)
      await until(() => cx.terminal().length >= total, `${total} terminal records`)
      const got = new Map<string, number>()
      for (const { event } of cx.terminal()) got.set(event.reason, (got.get(event.reason) ?? 0) + 1)
      t.same(Object.fromEntries(got), Object.fromEntries(expected))
      t.equal(new Set(cx.terminal().map(({ sallyport }) => sallyport.call?.id)).size, total)
      const sequence = cx.records().map(({ sallyport }) => sallyport.chain.seq)
      t.strictSame(
        sequence,
        sequence.map((_, at) => at + 1),
      )
      const byId = new Map<string, JournalRecord[]>()
      for (const record of cx.records())
        if (record.sallyport.call) {
          const { id } = record.sallyport.call
          byId.set(id, [...(byId.get(id) ?? []), record])
        }
      t.ok(
        [...byId.values()].every((list) =>
          list.at(-1)!.event.action === 'call-denied'
            ? list.length === 1
            : list[0]!.event.action === 'call-started',
        ),
        'I4: an allowed call was on record before, a refused one only once',
      )
    },
  )

  scenario(
    t,
    'R53: a denial is recorded in as much detail as an allow, and either can be decided again',
    options,
    async (cx, t) => {
      await cx.raw(get('/ok?a=1'))
      await cx.raw(get('/secret?a=1'))
      await cx.raw(get('/no?a=1'))
      await until(() => cx.terminal().length === 3, 'three records')
      const allowed = cx.terminal()[0]!
      const byRule = cx.terminal()[1]!
      const byDefault = cx.terminal()[2]!
      for (const record of [byRule, byDefault]) {
        t.strictSame(
          Object.keys(record.sallyport.decision!),
          Object.keys(allowed.sallyport.decision!),
        )
        t.strictSame(Object.keys(record.sallyport.task!), Object.keys(allowed.sallyport.task!))
        t.strictSame(Object.keys(record.url!), Object.keys(allowed.url!))
        t.match(record, {
          event: { outcome: 'failure', type: ['denied'] },
          http: { request: { method: 'GET' } },
        })
      }
      t.match(allowed, {
        ecs: { version: '9.1.0' },
        event: {
          kind: 'event',
          category: ['network', 'web'],
          outcome: 'success',
          type: ['allowed', 'end'],
          duration: Number,
        },
        rule: { id: 'plain', ruleset: 'set', version: /^sha256:[0-9a-f]{64}$/ },
        source: { ip: '127.0.0.1', port: Number },
        destination: { domain: 'plain.test', ip: '127.0.0.1', port: plain.port },
        url: { full: `http://${host.plain}/ok?a=1`, path: '/ok', query: 'a=1', scheme: 'http' },
        http: { version: '1.1', response: { status_code: 200, bytes: 2 } },
        sallyport: {
          schema: 1,
          mode: 'enforce',
          decision: { verdict: 'allow', reason: 'allowed', policy: /^sha256:/, us: Number },
        },
      })
      t.match(byRule, {
        rule: { id: 'secret' },
        event: { reason: 'denied-by-rule' },
        sallyport: { decision: { verdict: 'deny', reason: 'denied-by-rule' } },
      })
      t.equal(byRule.sallyport.decision!.policy, allowed.sallyport.decision!.policy)
      for (const { url, http, sallyport, rule } of [allowed, byRule, byDefault]) {
        const { status, stdout } = cx.run('explain', http!.request!.method, url!.full, '--json')
        const again: { verdict: string; reason: string; rule?: { id: string } } = JSON.parse(stdout)
        t.equal(status, sallyport.decision!.verdict === 'allow' ? 0 : 1)
        t.match(again, {
          verdict: sallyport.decision!.verdict,
          reason: sallyport.decision!.reason,
        })
        t.equal(again.rule?.id, rule?.id)
      }
    },
  )

  scenario(
    t,
    'a flood of refusals is counted exactly',
    { ...options, config: 'journal: { denialsPerTaskPerSecond: 5 }' },
    async (cx, t) => {
      await cx.raw(get('/no', true).repeat(60) + get('/no'), 5000)
      const count = (): number =>
        cx.records().reduce((sum, { event, sallyport }) => {
          if (event.action === 'call-denied') return sum + 1
          return event.action === 'call-denied-repeated'
            ? sum + Number(sallyport.detail?.['count'])
            : sum
        }, 0)
      await until(() => count() === 61, 'all are counted')
      t.ok(cx.terminal().length < 61, 'not each has its own')
      t.match(await cx.raw(get('/ok')), /^HTTP\/1\.1 200/, 'allowed calls have theirs')
      await cx.record(({ event }) => event.reason === 'allowed')
    },
  )

  scenario(
    t,
    'a call that goes on says so as it goes',
    { ...options, limits: 'progressMs: 100, progressBytes: 65536, idleTimeoutMs: 60000' },
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.write(request('GET', `http://${host.slow}/`, host.slow))
      socket.resume()
      const progress = (): JournalRecord[] =>
        cx.records().filter(({ event }) => event.action === 'call-progress')
      await until(() => progress().length >= 3, 'progress is on record')
      socket.destroy()
      const ended = await cx.record(({ event }) => event.reason === 'client-gone')
      const bytes = [...progress(), ended].map(({ http }) => http?.response?.bytes ?? 0)
      t.strictSame(
        bytes,
        bytes.toSorted((a, b) => a - b),
        'bytes grow',
      )
      t.ok(bytes.at(-1)! > 0)
    },
  )

  scenario(
    t,
    'R50: the end of an opaque tunnel tells what went each way',
    options,
    async (cx, t) => {
      const tunnel = await cx.connect(host.echo)
      tunnel.write(Buffer.alloc(5000, 'x'))
      let echoed = 0
      tunnel.on('data', (chunk: Buffer) => (echoed += chunk.length)).resume()
      await until(() => echoed === 5000, 'all of it is back')
      tunnel.destroy()
      const { source, destination } = await cx.record(({ event }) => event.action === 'call-ended')
      t.match({ source, destination }, { source: { bytes: 5000 }, destination: { bytes: 5000 } })
      t.match(cx.run('summary').stdout, /↑5\.0k ↓5\.0k/)
    },
  )

  scenario(
    t,
    'after kill -9 the next start closes what was open, moves a torn line aside, and the chain holds',
    options,
    async (cx, t) => {
      await cx.raw(get('/ok'))
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(request('GET', `http://${host.slow}/`, host.slow))
      await readHead(socket)
      const tunnel = await cx.connect(host.echo)
      await until(
        () => cx.records().filter(({ event }) => event.action === 'call-started').length === 3,
        'all have begun',
      )
      await cx.stop('SIGKILL')
      socket.destroy()
      tunnel.destroy()
      appendFileSync(segmentOf(cx), '{"@timestamp":"2026-01-01T00:00:00.000Z","ev')
      await cx.start()
      t.equal(cx.terminal().filter(({ event }) => event.reason === 'sidecar-crashed').length, 2)
      const recovered = cx.records().find(({ event }) => event.action === 'journal-recovered')
      t.match(
        JSON.stringify(recovered?.sallyport.detail),
        /[0-9a-f]{64}/,
        'with the hash of the torn line',
      )
      t.equal(
        readdirSync(path.join(cx.directory, 'journal')).filter((name) => name.endsWith('.torn'))
          .length,
        1,
      )
      t.match(await cx.raw(get('/ok')), /^HTTP\/1\.1 200/)
      const sequence = cx.records().map(({ sallyport }) => sallyport.chain.seq)
      t.strictSame(
        sequence,
        sequence.map((_, at) => at + 1),
      )
    },
  )

  const canLimit = spawnSync('prlimit', ['--version']).status === 0
  if (canLimit)
    scenario(
      t,
      'I5: a full disk refuses new calls, lets running ones end, and takes calls again',
      options,
      async (cx, t) => {
        const limit = (bytes: number | 'unlimited'): void => {
          spawnSync('prlimit', ['--pid', String(cx.pid()), `--fsize=${bytes}:`])
        }
        const running = net.connect(cx.proxyPort, '127.0.0.1')
        running.write(request('GET', `http://${host.slow}/`, host.slow))
        await readHead(running)
        running.resume()
        const ready = (): Promise<number> =>
          fetch(`http://127.0.0.1:${cx.healthPort}/readyz`).then(({ status }) => status)
        t.equal(await ready(), 200)
        const before = plain.seen.length
        limit(statSync(segmentOf(cx)).size + 100)
        const answer = await cx.raw(get('/ok'))
        t.match(answer, /^HTTP\/1\.1 503 Sallyport: audit-unavailable/)
        t.match(answer, /error=proxy_configuration_error; reason=audit-unavailable/)
        await t.rejects(cx.connect(host.echo), /503 Sallyport: audit-unavailable/)
        t.equal(plain.seen.length, before, 'nothing left')
        t.equal(await ready(), 503)
        t.notOk(running.destroyed, 'what runs goes on')
        limit('unlimited')
        await until(
          async () => (await cx.raw(get('/ok'))).startsWith('HTTP/1.1 200'),
          'calls are taken again',
        )
        t.equal(await ready(), 200)
        running.destroy()
        await cx.record(({ event }) => event.reason === 'client-gone')
      },
    )
  else
    void t.test(
      'I5: a full disk refuses new calls',
      { skip: 'there is no prlimit here' },
      () => undefined,
    )
})

void t.test('R54: the HTTP sink', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const port = await freePort()
  const arrivals: { at: number; record: JournalRecord }[] = []
  let status = 200
  const startSink = (): ReturnType<typeof startHttp> =>
    startHttp({
      port,
      handler: (_request, body) => {
        if (status === 200)
          for (const line of body.toString().split('\n'))
            if (line !== '') arrivals.push({ at: Date.now(), record: parse(line) })
        return { status }
      },
    })
  let sink = await startSink()
  t.teardown(() => sink.close())
  scenario(
    t,
    'R54: records arrive as they are written; a sink that was away gets what it missed, in order',
    {
      hosts: ['up.test'],
      rules: ruleSet(`id: up, allow: 'http://${host}', paths: [/ok], ${LOOPBACK}`),
      config: `sinks: [{ http: { url: 'http://127.0.0.1:${port}/in', headers: { X-Sink: yes-please } } }]\njournal: { denialsPerTaskPerSecond: 1000 }`,
    },
    async (cx, t) => {
      const calls = async (count: number, target: string): Promise<void> => {
        for (let at = 0; at < count; at += 1)
          await cx.raw(request('GET', `http://${host}${target}`, host))
      }
      const arrived = (): JournalRecord[] =>
        arrivals
          .map(({ record }) => record)
          .filter(({ event }) => /^call-(ended|denied)$/.test(event.action))
      await calls(10, '/ok')
      await calls(5, '/no')
      await until(() => arrived().length === 15, 'all arrive')
      t.match(sink.seen[0], { method: 'POST', url: '/in' })
      t.ok(sink.seen[0]!.rawHeaders.includes('yes-please'))
      t.notOk(
        arrivals.some(({ record }) => record.event.action === 'call-started'),
        'terminal ones and events only',
      )
      const lags = arrivals
        .map(({ at, record }) => at - Date.parse(record['@timestamp']))
        .toSorted((a, b) => a - b)
      t.comment(`lag of records in ms: median ${lags[lags.length >> 1]}, largest ${lags.at(-1)}`)
      t.ok(lags[lags.length >> 1]! < 1000, 'usually within a second')
      await sink.close()
      await calls(10, '/ok')
      await cx.stop()
      t.equal(arrived().length, 15)
      await cx.start()
      await calls(5, '/no')
      status = 500
      sink = await startSink()
      await sleep(300)
      status = 200
      await until(
        () => new Set(arrived().map(({ event }) => event.id)).size === 30,
        'what was missed arrives',
      )
      const unique = [...new Map(arrived().map((record) => [record.event.id, record])).values()]
      const sequence = unique.map(({ sallyport }) => sallyport.chain.seq)
      t.strictSame(
        sequence,
        sequence.toSorted((a, b) => a - b),
        'in order',
      )
      t.strictSame(
        unique.map(({ event }) => event.id),
        cx.terminal().map(({ event }) => event.id),
      )
    },
  )
})

void t.test('the journal and its readers', async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  const other = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => Promise.all([upstream.close(), other.close()]))
  const host = `up.test:${upstream.port}`
  const away = `away.test:${other.port}`
  const options = {
    hosts: ['up.test', 'away.test'],
    rules: ruleSet(
      `id: up, allow: 'http://${host}', paths: [/ok], ${LOOPBACK}`,
      `id: no, deny: 'http://${host}', paths: [/no]`,
      `id: away, allow: 'http://${away}', ${LOOPBACK}`,
    ),
  }
  const get = (at: string, target: string): string => request('GET', `http://${at}${target}`, at)
  const linesOf = (text: string): JournalRecord[] =>
    text
      .split('\n')
      .filter((line) => line.startsWith('{"@timestamp"'))
      .map((line) => parse(line))

  scenario(
    t,
    'R54: the stdout sink prints each terminal record, one JSON object a line, within a second',
    { ...options, config: 'sinks: [{ stdout: {} }]' },
    async (cx, t) => {
      await cx.raw(get(host, '/ok'))
      await cx.raw(get(host, '/no'))
      const startedAt = Date.now()
      const printed = (): JournalRecord[] =>
        linesOf(cx.log()).filter(({ event }) => event.action.startsWith('call-'))
      await until(() => printed().length === 2, 'both are printed')
      t.ok(Date.now() - startedAt < 1000)
      t.strictSame(printed(), cx.terminal(), 'as they are in the journal')
    },
  )

  scenario(
    t,
    'R54: a filter of a sink lets only its records through',
    { ...options, config: 'sinks: [{ stdout: { filter: { verdict: deny } } }]' },
    async (cx, t) => {
      await cx.raw(get(host, '/ok'))
      await cx.raw(get(host, '/no'))
      // What proves the others passes every filter.
      const isProof = ({ event }: JournalRecord): boolean => event.action.startsWith('checkpoint')
      const filtered = (): JournalRecord[] => linesOf(cx.log()).filter((line) => !isProof(line))
      await until(() => filtered().length > 0, 'the denial is printed')
      await sleep(300)
      t.strictSame(
        filtered().map(({ event }) => event.reason),
        ['denied-by-rule'],
      )
      t.ok(linesOf(cx.log()).some(isProof))
    },
  )

  scenario(
    t,
    '`tail` shows the records that are asked for, for people and with --json as they are',
    options,
    async (cx, t) => {
      await cx.raw(get(host, '/ok'))
      await cx.raw(get(host, '/no'))
      await cx.raw(get(away, '/else'))
      await until(() => cx.terminal().length === 3, 'three records')
      const tail = (...words: string[]): string[] => {
        const { status, stdout } = cx.run('tail', ...words)
        t.equal(status, 0, words.join(' '))
        return stdout.split('\n').filter((line) => /call-|\/(?:ok|no|else)/.test(line))
      }
      const task = cx.terminal()[0]!.sallyport.task!.id
      const counts: [string[], number][] = [
        [[], 3],
        [['--all'], 5],
        [['--verdict', 'deny'], 1],
        [['--verdict', 'allow'], 2],
        [['--reason', 'denied-by-rule'], 1],
        [['--reason', 'path-not-allowed'], 0],
        [['--host', 'up.test'], 2],
        [['--host', '*.test'], 3],
        [['--host', 'no.test'], 0],
        [['--rule', 'no'], 1],
        [['--rule', 'set/up'], 1],
        [['--task', task], 3],
        [['--task', `t_${'0'.repeat(26)}`], 0],
        [['--since', '1h'], 3],
        [['--since', '2099-01-01T00:00:00Z'], 0],
        [['--grep', 'away\\.test'], 1],
        [['--credential', 'none'], 0],
        [['--host', 'up.test', '--verdict', 'allow'], 1],
      ]
      for (const [words, count] of counts) t.equal(tail(...words).length, count, words.join(' '))
      t.match(tail('--reason', 'denied-by-rule')[0], /denied-by-rule/)
      t.strictSame(
        tail('--json', '--host', 'up.test').map((line) => parse(line)),
        cx.terminal().filter(({ url }) => url?.domain === 'up.test'),
      )
    },
  )

  scenario(
    t,
    'I4: one journal has one writer: a second sidecar does not start, the first goes on',
    options,
    async (cx, t) => {
      const text = readFileSync(cx.configFile, 'utf8')
      const [proxy, health] = [await freePort(), await freePort()]
      cx.file(
        'sallyport.yaml',
        text
          .replaceAll(`:${cx.proxyPort}'`, `:${proxy}'`)
          .replace(`:${cx.healthPort}'`, `:${health}'`),
      )
      const second = cx.run('start')
      t.equal(second.status, 1)
      t.match(second.stderr, /journal/)
      await t.rejects(fetch(`http://127.0.0.1:${health}/healthz`))
      t.match(await cx.raw(get(host, '/ok')), /^HTTP\/1\.1 200/)
      await cx.record(({ event }) => event.reason === 'allowed')
      cx.file('sallyport.yaml', text)
      await cx.stop('SIGKILL')
      await cx.start()
      t.match(await cx.raw(get(host, '/ok')), /^HTTP\/1\.1 200/, 'a dead one keeps nobody out')
    },
  )
})
