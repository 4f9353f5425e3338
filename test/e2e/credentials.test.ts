// Credentials seen from both ends: what the upstream receives, what the sandbox holds, and that a secret goes nowhere else.

import { writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import {
  exchange,
  request,
  ruleSet,
  scenario,
  sleep,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startHttp, type Seen, type Upstream } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const SECRETS = {
  BEARER: 'canary-bearer-4f9d1c7a20',
  BASIC: 'canary-basic-77e0b3d5ff',
  HEADER: 'canary-header-0a1b2c3d4e',
  QUERY: 'canary-query+/=&-9988776655',
}

/** Every value of a header as the upstream saw it. */
const valuesOf = ({ rawHeaders }: Seen, name: string): string[] =>
  rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === name)

void t.test('credentials', async (t) => {
  // An upstream that says nothing of what it was sent: echoes are not what is looked at here.
  const silent = (): { body: string } => ({ body: 'ok' })
  const [bearer, basic, header, query, other] = await Promise.all([
    startSecure(['bearer.test'], silent),
    startSecure(['basic.test'], silent),
    startSecure(['header.test'], silent),
    startSecure(['query.test'], silent),
    startSecure(['other.test'], silent),
  ])
  const redirecting = await startSecure(['moved.test'], () => ({
    status: 302,
    headers: ['Location', `https://other.test:${other.port}/landed`],
  }))
  const plain = await startHttp({ handler: silent })
  const upstreams = [bearer, basic, header, query, other, redirecting, plain]
  t.teardown(() => Promise.all(upstreams.map((upstream) => upstream.close())))
  const hosts = [
    'bearer.test',
    'basic.test',
    'header.test',
    'query.test',
    'other.test',
    'moved.test',
    'plain.test',
  ]
  const at = {
    bearer: `bearer.test:${bearer.port}`,
    basic: `basic.test:${basic.port}`,
    header: `header.test:${header.port}`,
    query: `query.test:${query.port}`,
    other: `other.test:${other.port}`,
    moved: `moved.test:${redirecting.port}`,
    plain: `plain.test:${plain.port}`,
  }
  const config = `credentials:
  bearer: { source: { env: BEARER }, inject: { bearer: true }, hosts: ['${at.bearer}', '${at.moved}', '${at.plain}'], placeholder: { env: API_TOKEN, prefix: tok_, length: 40 } }
  basic: { source: { env: BASIC }, inject: { basic: { user: robot } }, hosts: ['${at.basic}'] }
  header: { source: { env: HEADER }, inject: { header: { name: X-Service-Key, format: 'key={}' } }, hosts: ['${at.header}'] }
  query: { source: { env: QUERY }, inject: { query: { name: key } }, hosts: ['${at.query}'] }
`
  const rules = ruleSet(
    `id: bearer, allow: 'https://${at.bearer}', paths: ['/with/**'], credential: bearer, ${LOOPBACK}`,
    `id: without, allow: 'https://${at.bearer}', paths: ['/without/**'], ${LOOPBACK}`,
    `id: passing, allow: 'https://${at.bearer}', paths: ['/pass/**'], clientAuth: pass, ${LOOPBACK}`,
    `id: refusing, allow: 'https://${at.bearer}', paths: ['/refuse/**'], placeholderInBody: refuse, ${LOOPBACK}`,
    `id: basic, allow: 'https://${at.basic}', credential: basic, ${LOOPBACK}`,
    `id: header, allow: 'https://${at.header}', credential: header, ${LOOPBACK}`,
    `id: query, allow: 'https://${at.query}', credential: query, ${LOOPBACK}`,
    `id: other, allow: 'https://${at.other}', ${LOOPBACK}`,
    `id: moved, allow: 'https://${at.moved}', credential: bearer, ${LOOPBACK}`,
    `id: plain, allow: 'http://${at.plain}', credential: bearer, ${LOOPBACK}`,
  )
  const options = { hosts, config, rules, secrets: SECRETS }
  let sink: Upstream | undefined
  const call = async (
    cx: Scenario,
    host: string,
    target: string,
    headers: readonly string[] = [],
    body?: string,
  ): Promise<string> =>
    exchange(
      await cx.secure(host),
      request(body === undefined ? 'GET' : 'POST', target, host, {
        headers,
        ...(body !== undefined && { body }),
      }),
    )
  const alerts = (cx: Scenario): number =>
    cx
      .records()
      .filter(({ event }) => event.action === 'placeholder-misused' && event.kind === 'alert')
      .length

  scenario(
    t,
    'R18: bearer, basic, header and query, each at its place and only there',
    options,
    async (cx, t) => {
      for (const host of [at.bearer, at.basic, at.header, at.query])
        t.match(await call(cx, host, '/with/it?a=1&b=%20'), /^HTTP\/1\.1 200/, host)
      t.strictSame(valuesOf(bearer.seen.at(-1)!, 'authorization'), [`Bearer ${SECRETS.BEARER}`])
      t.equal(bearer.seen.at(-1)!.url, '/with/it?a=1&b=%20')
      const pair = Buffer.from(`robot:${SECRETS.BASIC}`).toString('base64')
      t.strictSame(valuesOf(basic.seen.at(-1)!, 'authorization'), [`Basic ${pair}`])
      t.strictSame(valuesOf(header.seen.at(-1)!, 'x-service-key'), [`key=${SECRETS.HEADER}`])
      const url = new URL(`https://x${query.seen.at(-1)!.url}`)
      t.strictSame(url.searchParams.getAll('key'), [SECRETS.QUERY])
      t.equal(url.searchParams.get('a'), '1')
      t.ok(
        query.seen.at(-1)!.url.startsWith('/with/it?a=1&b=%20&'),
        'the rest of the query stays as it was',
      )
      const record = await cx.record(({ rule }) => rule?.id === 'query')
      t.match(record, {
        url: { query: 'a=1&b=%20' },
        sallyport: { credential: { name: 'query', action: 'injected' } },
      })
      t.match(
        await cx.raw(request('GET', `https://${at.bearer}/with/x`, at.bearer)),
        /^HTTP\/1\.1 200/,
      )
      t.strictSame(
        valuesOf(bearer.seen.at(-1)!, 'authorization'),
        [`Bearer ${SECRETS.BEARER}`],
        'in absolute form too',
      )
    },
  )

  scenario(
    t,
    'R19: only the rule that names it adds it; a redirect elsewhere gets nothing',
    options,
    async (cx, t) => {
      t.match(await call(cx, at.bearer, '/without/it'), /^HTTP\/1\.1 200/)
      t.strictSame(valuesOf(bearer.seen.at(-1)!, 'authorization'), [])
      const run = await cx.client('curl', [
        '-sS',
        '-L',
        '-w',
        '%{http_code}',
        `https://${at.moved}/start`,
        '-H',
        `Authorization: Bearer ${cx.env()['API_TOKEN']}`,
      ])
      t.match(run, { status: 0, stdout: /200$/ })
      t.strictSame(valuesOf(redirecting.seen.at(-1)!, 'authorization'), [
        `Bearer ${SECRETS.BEARER}`,
      ])
      t.equal(other.seen.at(-1)!.url, '/landed')
      t.notOk(
        upstreams.some(
          (upstream) =>
            upstream !== bearer &&
            upstream !== redirecting &&
            upstream.seen.some((seen) => JSON.stringify(seen).includes(SECRETS.BEARER)),
        ),
        'no other upstream has seen it',
      )
      const forced = await cx.client('curl', [
        '-sS',
        '-L',
        '--location-trusted',
        '-w',
        '%{http_code}',
        `https://${at.moved}/start`,
        '-H',
        `Authorization: Bearer ${cx.env()['API_TOKEN']}`,
      ])
      t.match(forced.stdout, /403$/, 'a client that takes its placeholder along is refused there')
    },
  )

  scenario(
    t,
    'R19: over http:// a credential is not sent, and neither is the call',
    options,
    async (cx, t) => {
      const before = plain.seen.length
      t.match(
        await cx.raw(request('GET', `http://${at.plain}/`, at.plain)),
        /^HTTP\/1\.1 502 Sallyport: credential-unavailable/,
      )
      t.equal(plain.seen.length, before)
    },
  )

  scenario(
    t,
    'R19: over http:// it is sent where the credential and the rule both say so',
    {
      ...options,
      config: config.replace('length: 40 } }', 'length: 40 }, insecurePlaintext: true }'),
    },
    async (cx, t) => {
      t.match(await cx.raw(request('GET', `http://${at.plain}/`, at.plain)), /^HTTP\/1\.1 200/)
      t.strictSame(valuesOf(plain.seen.at(-1)!, 'authorization'), [`Bearer ${SECRETS.BEARER}`])
    },
  )

  scenario(
    t,
    'R22: what the sandbox sends to authenticate itself does not arrive at a brokered host',
    options,
    async (cx, t) => {
      const own = [
        'Authorization: Bearer mine',
        'Cookie: a=mine',
        'X-Api-Key: mine',
        'Private-Token: mine',
        'X-Mine: kept',
      ]
      for (const target of ['/with/own', '/without/own']) {
        t.match(
          await call(cx, at.bearer, `${target}?access_token=mine&api_key=mine&q=kept`, own),
          /^HTTP\/1\.1 200/,
        )
        const seen = bearer.seen.at(-1)!
        t.notMatch(JSON.stringify(seen), /mine"/, target)
        t.equal(seen.url, `${target}?q=kept`)
        t.strictSame(valuesOf(seen, 'x-mine'), ['kept'])
      }
      t.match(
        await call(cx, at.header, '/x', ['X-Service-Key: mine', 'x_service_key: mine']),
        /^HTTP\/1\.1 200/,
      )
      t.notMatch(JSON.stringify(header.seen.at(-1)), /mine/)
      t.match(await call(cx, at.query, '/x?key=mine&%6bey=mine&KEY=mine'), /^HTTP\/1\.1 200/)
      t.notMatch(query.seen.at(-1)!.url, /mine/)
      t.match(await call(cx, at.bearer, '/pass/own', own), /^HTTP\/1\.1 200/)
      t.strictSame(
        valuesOf(bearer.seen.at(-1)!, 'authorization'),
        ['Bearer mine'],
        '`clientAuth: pass` lets it pass',
      )
      t.match(await call(cx, at.other, '/own', own), /^HTTP\/1\.1 200/)
      t.strictSame(
        valuesOf(other.seen.at(-1)!, 'authorization'),
        ['Bearer mine'],
        'so does a host that no credential is for',
      )
      t.match(await cx.record(({ url }) => url?.path === '/without/own'), {
        sallyport: { credential: { name: 'bearer', action: 'dropped' } },
      })
    },
  )

  scenario(t, 'a placeholder is replaced at its place', options, async (cx, t) => {
    const variables = cx.env()
    const placeholder = variables['API_TOKEN']!
    t.match(placeholder, /^tok_[A-Za-z0-9]{36}$/)
    t.match(variables['BASIC_TOKEN'], /^sallyport_basic_[A-Za-z0-9]{32}$/)
    t.match(
      await call(cx, at.bearer, '/with/it', [`authorization: bearer ${placeholder}`]),
      /^HTTP\/1\.1 200/,
    )
    t.strictSame(valuesOf(bearer.seen.at(-1)!, 'authorization'), [`Bearer ${SECRETS.BEARER}`])
    const pair = Buffer.from(`robot:${variables['BASIC_TOKEN']}`).toString('base64')
    t.match(await call(cx, at.basic, '/it', [`Authorization: Basic ${pair}`]), /^HTTP\/1\.1 200/)
    t.match(await call(cx, at.query, `/it?key=${variables['QUERY_TOKEN']}&z=1`), /^HTTP\/1\.1 200/)
    t.equal(new URL(`https://x${query.seen.at(-1)!.url}`).searchParams.get('key'), SECRETS.QUERY)
    t.match(await cx.record(({ rule }) => rule?.id === 'bearer'), {
      sallyport: { credential: { action: 'replaced' } },
    })
    t.equal(alerts(cx), 0)
    await cx.stop()
    await cx.start()
    t.equal(cx.env()['API_TOKEN'], placeholder, 'a restart keeps it')
  })

  scenario(
    t,
    'a placeholder anywhere else in a head refuses the call, with an alert',
    options,
    async (cx, t) => {
      const placeholder = cx.env()['API_TOKEN']!
      const encoded = Buffer.from(placeholder).toString('hex').replaceAll(/../g, '%$&')
      const base64 = Buffer.from(`x:${placeholder}`).toString('base64')
      const before = upstreams.map(({ seen }) => seen.length)
      const misuses: [string, string, string[]][] = [
        [at.other, '/x', [`Authorization: Bearer ${placeholder}`]],
        [at.other, `/x?q=${placeholder}`, []],
        [at.other, `/${placeholder}`, []],
        [at.other, `/x?q=${encoded}`, []],
        [at.other, '/x', [`Authorization: Basic ${base64}`]],
        [at.other, '/x', [`Cookie: a=${placeholder}`]],
        [at.other, '/x', [`X-${placeholder}: 1`]],
        [at.bearer, '/with/x', [`X-Copy: ${placeholder}`]],
        [at.bearer, `/with/x?q=${placeholder}`, []],
        [at.bearer, '/with/x', [`Authorization: Token ${placeholder}`]],
        [at.bearer, '/with/x', [`Authorization: Bearer ${placeholder}`, `X-Copy: ${base64}`]],
      ]
      for (const [host, target, headers] of misuses)
        t.match(
          await call(cx, host, target, headers),
          /^HTTP\/1\.1 403 Sallyport: placeholder-misused/,
          `${host} ${target} ${headers.join()}`,
        )
      t.strictSame(
        upstreams.map(({ seen }) => seen.length),
        before,
        'none of them left',
      )
      await until(() => alerts(cx) === misuses.length, 'each raised an alert')
      t.match(
        await cx.raw(
          `CONNECT ${at.other} HTTP/1.1\r\nHost: ${at.other}\r\nX-A: ${placeholder}\r\n\r\n`,
        ),
        /^HTTP\/1\.1 403 Sallyport: placeholder-misused/,
      )
      for (const label of [placeholder, placeholder.toLowerCase()]) {
        const authority = `${label}.other.test:443`
        t.match(
          await cx.raw(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`),
          /^HTTP\/1\.1 403 Sallyport: placeholder-misused/,
          'in the name that is asked for, whatever its case',
        )
      }
      t.match(
        await call(cx, at.bearer, '/with/x', [`Authorization: Bearer ${placeholder}`]),
        /^HTTP\/1\.1 200/,
      )
    },
  )

  scenario(
    t,
    'a placeholder in a body travels unchanged with one alert, or is refused by rule',
    options,
    async (cx, t) => {
      const placeholder = cx.env()['API_TOKEN']!
      for (let times = 0; times < 3; times += 1)
        t.match(await call(cx, at.other, '/body', [], `a=${placeholder}`), /^HTTP\/1\.1 200/)
      t.equal(other.seen.at(-1)!.body.toString(), `a=${placeholder}`)
      await until(() => alerts(cx) === 1, 'one alert')
      await sleep(100)
      t.equal(alerts(cx), 1, 'one a task, credential and destination')
      const second = cx.env()['HEADER_TOKEN']!
      t.match(await call(cx, at.other, '/body', [], `a=${second}`), /^HTTP\/1\.1 200/)
      await until(() => alerts(cx) === 2, 'the first hides no other credential')
      const before = bearer.seen.length
      t.match(
        await call(cx, at.bearer, '/refuse/body', [], `a=${placeholder}`),
        /^HTTP\/1\.1 403 Sallyport: placeholder-misused/,
      )
      t.equal(bearer.seen.length, before)
      await until(() => bearer.open() === 0, 'the connection of a refused call is given back')
      t.match(await call(cx, at.bearer, '/refuse/body', [], 'a=b'), /^HTTP\/1\.1 200/)
    },
  )

  scenario(
    t,
    'a file source is read again when it changes; without it the call fails closed',
    {
      hosts,
      rules: ruleSet(`id: one, allow: 'https://${at.bearer}', credential: rotating, ${LOOPBACK}`),
      config: `credentials:\n  rotating: { source: { file: one.secret }, inject: { bearer: true }, hosts: ['${at.bearer}'] }\n`,
    },
    async (cx, t) => {
      const before = bearer.seen.length
      t.match(await call(cx, at.bearer, '/'), /^HTTP\/1\.1 502 Sallyport: credential-unavailable/)
      t.equal(bearer.seen.length, before, 'nothing left')
      for (const value of [
        'canary-file-first',
        'canary-file-other',
        'canary-file-third-and-longer',
      ]) {
        writeFileSync(path.join(cx.directory, 'one.secret'), `${value}\n`)
        t.match(await call(cx, at.bearer, '/'), /^HTTP\/1\.1 200/)
        t.strictSame(valuesOf(bearer.seen.at(-1)!, 'authorization'), [`Bearer ${value}`])
      }
      writeFileSync(path.join(cx.directory, 'one.secret'), '')
      t.match(await call(cx, at.bearer, '/'), /^HTTP\/1\.1 502 Sallyport: credential-unavailable/)
      t.notMatch(JSON.stringify(cx.records()) + cx.log(), /canary/)
    },
  )

  scenario(
    t,
    'a missing variable: the call does not leave without its credential, other calls do',
    { ...options, secrets: { BASIC: SECRETS.BASIC } },
    async (cx, t) => {
      const before = bearer.seen.length
      t.match(
        await call(cx, at.bearer, '/with/it', ['Authorization: Bearer mine']),
        /^HTTP\/1\.1 502 Sallyport: credential-unavailable/,
      )
      t.equal(bearer.seen.length, before)
      t.match(await call(cx, at.bearer, '/without/it'), /^HTTP\/1\.1 200/)
      t.match(await call(cx, at.basic, '/it'), /^HTTP\/1\.1 200/)
    },
  )

  scenario(t, 'R17: no secret is in what the sandbox is given or told', options, async (cx, t) => {
    const told = [
      JSON.stringify(cx.env()),
      await call(cx, at.bearer, '/with/it'),
      await call(cx, at.bearer, '/no'),
      await call(cx, at.query, '/%00'),
      await cx.raw(request('GET', `http://${at.plain}/`, at.plain)),
      await cx.raw(`CONNECT no.test:1 HTTP/1.1\r\nHost: no.test:1\r\n\r\n`),
      await fetch(`http://127.0.0.1:${cx.healthPort}/metrics`).then((response) => response.text()),
      await fetch(`http://127.0.0.1:${cx.healthPort}/readyz`).then((response) => response.text()),
      ...['check', 'ca show', 'tail'].map((words) => JSON.stringify(cx.run(...words.split(' ')))),
    ].join('\n')
    for (const [name, secret] of Object.entries(SECRETS)) t.notOk(told.includes(secret), name)
    t.match(told, /HTTP\/1\.1 200/)
  })

  scenario(
    t,
    'R55: no secret is in a record, a sink, the log, a metric or a refusal, however the call ends',
    async () => {
      sink = await startHttp({ handler: () => ({ status: 200 }) })
      return {
        ...options,
        config: `${config}sinks: [{ stdout: { all: true } }, { http: { url: 'http://127.0.0.1:${sink.port}/', all: true } }]\n`,
      }
    },
    async (cx, t) => {
      const variables = cx.env()
      const told = [
        await call(cx, at.bearer, '/with/it'),
        await call(cx, at.basic, '/it?a=b'),
        await call(cx, at.query, `/it?key=${variables['QUERY_TOKEN']}`),
        await call(cx, at.header, '/it', [], 'body'),
        await call(cx, at.other, `/it?q=${variables['QUERY_TOKEN']}`),
        await cx.raw(request('GET', `http://${at.plain}/`, at.plain)),
      ]
      // A call with a credential that its upstream breaks off.
      const socket = await cx.secure(at.bearer)
      socket.write(`POST /with/it HTTP/1.1\r\nHost: ${at.bearer}\r\nContent-Length: 9\r\n\r\nhalf`)
      await sleep(100)
      socket.destroy()
      await cx.record(({ event }) => event.reason === 'client-gone')
      const last = (): number => cx.records().at(-1)!.sallyport.chain.seq
      const sent = (): string => sink!.seen.map(({ body }) => body.toString()).join('')
      await until(() => sent().includes(`"seq":${last()},`), 'the sink has all')
      told.push(
        sent(),
        cx.log(),
        JSON.stringify(cx.run('tail')),
        await fetch(`http://127.0.0.1:${cx.healthPort}/metrics`).then((response) =>
          response.text(),
        ),
      )
      t.match(cx.log(), /"action":"call-started"/, 'the stdout sink writes')
      const all = told.join('\n')
      for (const [name, secret] of Object.entries(SECRETS))
        for (const form of [
          secret,
          encodeURIComponent(secret),
          Buffer.from(secret).toString('base64').slice(0, -4),
          Buffer.from(`robot:${secret}`).toString('base64').slice(0, -4),
        ])
          t.notOk(all.includes(form), `${name} as ${form.slice(0, 6)}…`)
      await sink?.close()
    },
  )
})
