// Proves what the listener refuses before and besides any route: strangers, browsers, other names, bodies that are not
// bounded JSON, floods. Each refusal has its allowed twin.

import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { DEFINITION } from '../../fixtures/control.ts'
import { startControl, tokenOf, type Control } from './support.ts'

const AUTHORIZATION = `Authorization: Bearer ${tokenOf('administrator')}\r\n`

function head(control: Control, line: string, ...fields: readonly string[]): string {
  const rest = fields.map((field) => `${field}\r\n`).join('')
  return `${line} HTTP/1.1\r\nHost: 127.0.0.1:${control.port}\r\n${AUTHORIZATION}${rest}\r\n`
}

void t.test('every answer, also a refusal, is kept by nobody and sniffed by nobody', async (t) => {
  const control = await startControl(t)
  for (const [path, as] of [
    ['/v1/rules', 'administrator'],
    ['/v1/none', 'administrator'],
    ['/v1/rules', 'stranger'],
  ] as const) {
    const { headers } = await control.ask('GET', path, undefined, { as })
    t.equal(headers.get('cache-control'), 'no-store', path)
    t.equal(headers.get('x-content-type-options'), 'nosniff', path)
    t.equal(headers.get('access-control-allow-origin'), null, path)
  }
})

void t.test('Host names this listener, or the request is refused', async (t) => {
  const control = await startControl(t)
  const { port } = control
  const ask = (host: string): Promise<string> =>
    control.raw(`GET /v1/rules HTTP/1.1\r\n${host}${AUTHORIZATION}Connection: close\r\n\r\n`)
  for (const name of ['127.0.0.1', 'localhost', 'LOCALHOST', '[::1]'])
    t.match(await ask(`Host: ${name}:${port}\r\n`), /^HTTP\/1\.1 200/, name)
  for (const wrong of [
    `Host: rebound.example:${port}\r\n`,
    'Host: 127.0.0.1\r\n',
    `Host: 127.0.0.1:${port === 1 ? 2 : 1}\r\n`,
    `Host: 127.0.0.1:${port}@evil.example\r\n`,
    `Host: localhost.evil.example:${port}\r\n`,
    `Host: 127.0.0.1:${port}\r\nHost: evil.example\r\n`,
    'Host: \r\n',
  ])
    t.match(await ask(wrong), /^HTTP\/1\.1 400 .*(authority-mismatch|Connection: close)/s, wrong)
  t.match(await ask(''), /^HTTP\/1\.1 400|^$/, 'none at all')
})

void t.test('no browser is a client', async (t) => {
  const control = await startControl(t)
  const { port } = control
  for (const field of [
    'Origin: https://evil.example',
    `Origin: http://127.0.0.1:${port}`,
    'Origin: null',
    'Sec-Fetch-Site: same-origin',
  ]) {
    const answer = await control.raw(head(control, 'GET /v1/rules', field, 'Connection: close'))
    t.match(answer, /^HTTP\/1\.1 403 .*no browser is a client/s, field)
    t.notMatch(answer, /access-control/i)
  }
  const preflight = head(control, 'OPTIONS /v1/kill', 'Origin: https://evil.example')
  t.match(await control.raw(preflight), /^HTTP\/1\.1 403/)
})

void t.test('a body is application/json, and nothing else', async (t) => {
  const control = await startControl(t)
  const text = JSON.stringify(DEFINITION)
  const post = (...fields: readonly string[]): Promise<string> =>
    control.raw(
      `${head(control, 'POST /v1/tasks', ...fields, `Content-Length: ${text.length}`, 'Connection: close')}${text}`,
    )
  t.match(await post('Content-Type: application/json'), /^HTTP\/1\.1 201/)
  t.match(await post('Content-Type: application/json; charset=utf-8'), /^HTTP\/1\.1 201/)
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain; application/json',
  ])
    t.match(
      await post(`Content-Type: ${type}`),
      /^HTTP\/1\.1 415 .*content-type-not-allowed/s,
      type,
    )
  t.match(await post(), /^HTTP\/1\.1 415/, 'no type at all')
  t.match(
    await post('Content-Type: application/json', 'Content-Encoding: gzip'),
    /^HTTP\/1\.1 415/,
    'encoded',
  )
  const whole = `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`
  const chunked = [
    'Content-Type: application/json',
    'Transfer-Encoding: chunked',
    'Connection: close',
  ]
  t.match(
    await control.raw(`${head(control, 'POST /v1/tasks', ...chunked)}${whole}`),
    /^HTTP\/1\.1 201/,
  )
  t.equal([...control.parts.tasks.list()].length, 3)
  const get = head(control, 'GET /v1/rules', 'Content-Length: 2', 'Connection: close')
  t.match(await control.raw(`${get}{}`), /^HTTP\/1\.1 400/, 'a GET has none')
})

void t.test('controlBodyBytesMax bounds a body, told beforehand or not', async (t) => {
  const control = await startControl(t)
  const large = JSON.stringify({ ...DEFINITION, intent: 'x'.repeat(300 * 1024) })
  const { status, body } = await control.ask('POST', '/v1/tasks', { ...DEFINITION, intent: large })
  t.equal(status, 413)
  t.equal(body['reason'], 'body-too-large')
  const chunk = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
  const fields = ['Content-Type: application/json', 'Transfer-Encoding: chunked']
  const chunked = `${head(control, 'POST /v1/tasks', ...fields)}${chunk}`
  t.match(await control.raw(chunked, 2000), /^HTTP\/1\.1 413 .*body-too-large/s)
  const claimed = head(control, 'POST /v1/tasks', fields[0]!, 'Content-Length: 999999999')
  t.match(await control.raw(claimed), /^HTTP\/1\.1 413/, 'before any of it came')
  t.equal([...control.parts.tasks.list()].length, 0)
  t.equal((await control.ask('POST', '/v1/tasks', DEFINITION)).status, 201, 'it goes on')
})

void t.test('a head that does not end is cut', { timeout: 20_000 }, async (t) => {
  const control = await startControl(t)
  const startedAt = Date.now()
  const answer = await control.raw('GET /v1/rules HTTP/1.1\r\nHost: 127', 15_000)
  t.ok(Date.now() - startedAt < 10_000, 'after five seconds or so')
  t.equal(answer, '')
})

void t.test('a slow body holds up nobody else', async (t) => {
  const control = await startControl(t)
  const slow = head(
    control,
    'POST /v1/tasks',
    'Content-Type: application/json',
    'Content-Length: 1000',
  )
  const pending = control.raw(`${slow}{"intent":`, 1500)
  await sleep(100)
  t.equal((await control.ask('GET', '/v1/rules')).status, 200)
  t.equal(await pending, '', 'it is not answered before it is whole')
  t.equal([...control.parts.tasks.list()].length, 0)
})

void t.test('what is no request to this listener is answered with nothing of it', async (t) => {
  const control = await startControl(t)
  const { port } = control
  t.equal(await control.raw(head(control, 'CONNECT api.test:443')), '', 'no tunnel')
  for (const target of [
    `http://127.0.0.1:${port}/v1/rules`,
    'http://evil.example/v1/rules',
    '//evil.example/v1/rules',
    '*',
  ]) {
    const line = target === '*' ? 'OPTIONS *' : `GET ${target}`
    t.match(
      await control.raw(head(control, line, 'Connection: close')),
      /^HTTP\/1\.1 400 .*authority-mismatch/s,
      target,
    )
  }
  for (const path of ['/v1/tasks/../rules', '/v1/%2e%2e/rules', '/v1/./rules', '/v1\\rules'])
    t.match(
      await control.raw(head(control, `GET ${path}`, 'Connection: close')),
      /^HTTP\/1\.1 40[04]/,
      path,
    )
  const upgrade = head(control, 'GET /v1/rules', 'Connection: Upgrade', 'Upgrade: websocket')
  t.notMatch(await control.raw(upgrade), /^HTTP\/1\.1 101/)
})

void t.test('framing that could be read in two ways is read in none', async (t) => {
  const control = await startControl(t)
  const kill = '{"scope":"all"}'
  const smuggled = `POST /v1/kill HTTP/1.1\r\nHost: 127.0.0.1:${control.port}\r\n${AUTHORIZATION}Content-Type: application/json\r\nContent-Length: ${kill.length}\r\n\r\n${kill}`
  for (const fields of [
    ['Content-Length: 4', 'Transfer-Encoding: chunked'],
    ['Content-Length: 4', 'Content-Length: 5'],
    ['Transfer-Encoding: chunked, identity'],
    ['Transfer-Encoding: xchunked'],
    ['Content-Length : 4'],
    ['Content-Length: +4'],
  ]) {
    const first = head(
      control,
      'POST /v1/rules/reload',
      'Content-Type: application/json',
      ...fields,
    )
    await control.raw(`${first}0\r\n\r\n${smuggled}`, 300)
    t.strictSame(control.parts.kills.list(), [], fields.join(' + '))
  }
  const clean = head(control, 'GET /v1/rules')
  t.match(await control.raw(`${clean}${smuggled}`), /200 OK.*"cut":3/s, 'pipelined ones are two')
})

void t.test('only a principal is answered; guesses are bounded, and keep nobody out', async (t) => {
  const control = await startControl(t)
  const { status, headers, body } = await control.ask('GET', '/v1/rules', undefined, {
    as: 'mallory',
  })
  t.equal(status, 401)
  t.equal(headers.get('www-authenticate'), 'Bearer')
  t.match(body, { type: 'urn:sallyport:reason:principal-unknown', reason: 'principal-unknown' })
  for (const authorization of [
    '',
    'Bearer',
    `Basic ${tokenOf('administrator')}`,
    `Bearer ${tokenOf('administrator')}x`,
    `Bearer ${tokenOf('administrator').slice(0, -1)}`,
    `Bearer ${tokenOf('administrator')} x`,
  ])
    t.equal(
      (
        await control.ask('GET', '/openapi.json', undefined, {
          headers: { Authorization: authorization },
        })
      ).status,
      401,
      authorization,
    )
  const twice = head(control, 'GET /v1/rules', AUTHORIZATION.trim(), 'Connection: close')
  t.match(await control.raw(twice), /^HTTP\/1\.1 401/, 'two tokens are none')

  const guesses = await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      control.ask('GET', '/v1/rules', undefined, { as: `guess-${n}` }),
    ),
  )
  const limited = guesses.filter((guess) => guess.status === 429)
  t.ok(limited.length >= 15, `${limited.length} of 30 are told to wait`)
  t.match(limited[0]?.headers.get('retry-after'), /^\d+$/)
  t.equal((await control.ask('GET', '/v1/rules')).status, 200, 'the administrator comes through')
  t.strictSame(control.recorded, [], 'a stranger writes no record')
})

void t.test('controlRequestsPerSecond bounds each principal by itself', async (t) => {
  const control = await startControl(t, {
    principals: [
      { name: 'eager', roles: ['viewer'] },
      { name: 'calm', roles: ['viewer'] },
    ],
    limits: { ...DEFAULT_LIMITS, controlRequestsPerSecond: 5 },
  })
  const asked = await Promise.all(
    Array.from({ length: 20 }, () => control.ask('GET', '/v1/rules', undefined, { as: 'eager' })),
  )
  const passed = asked.filter(({ status }) => status === 200).length
  t.ok(passed >= 10 && passed < 20, `${passed} of 20`)
  const refused = asked.find(({ status }) => status === 429)
  t.match(refused?.body, { reason: 'quota-exceeded' })
  t.match(refused?.headers.get('retry-after'), /^\d+$/)
  t.equal((await control.ask('GET', '/v1/rules', undefined, { as: 'calm' })).status, 200)
})

void t.test('controlConnectionsMax bounds what is open', async (t) => {
  const control = await startControl(t, {
    limits: { ...DEFAULT_LIMITS, controlConnectionsMax: 2 },
  })
  const held = [control.raw('GET', 1500), control.raw('GET', 1500)]
  await sleep(100)
  const startedAt = Date.now()
  t.equal(await control.raw(head(control, 'GET /v1/rules'), 1000), '')
  t.ok(Date.now() - startedAt < 900, 'it is dropped')
  await Promise.all(held)
  t.match(await control.raw(head(control, 'GET /v1/rules')), /^HTTP\/1\.1 200/)
})

void t.test('I6: a unix socket is for its owner and group, and answers to localhost', async (t) => {
  const mask = process.umask()
  const control = await startControl(t, { unix: true })
  t.equal(process.umask(), mask, 'what else the process makes is as before')
  t.equal(statSync(control.address.slice('unix:'.length)).mode & 0o777, 0o660)
  const ask = (host: string): Promise<string> =>
    control.raw(`GET /v1/rules HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  t.match(await ask('localhost'), /^HTTP\/1\.1 200/)
  t.match(await ask('evil.example'), /^HTTP\/1\.1 400/)
  const locked = await startControl(t, { unix: true, token: true })
  t.match(await locked.raw('GET /v1/rules HTTP/1.1\r\nHost: localhost\r\n\r\n'), /^HTTP\/1\.1 401/)
})
