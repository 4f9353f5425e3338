// R49: the engine under clients and upstreams that do not wait for each other: pipelines, early answers, upstreams that leave
// at every byte, readers that do not read, connections by the thousand.

import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import net, { type Socket } from 'node:net'

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
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import { startHttp, startTcp, type Upstream } from '../fixtures/upstreams.ts'

const MIB = 1024 * 1024
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const CONNECTIONS = 10_000
const AT_ONCE = 250

const plainly = (upstream: Upstream): ScenarioOptions => ({
  hosts: ['up.test'],
  rules: ruleSet(
    `id: all, allow: 'http://up.test:${upstream.port}', ${LOOPBACK}`,
    `id: no, deny: 'http://up.test:${upstream.port}', paths: [/no/**]`,
  ),
})

const statusesOf = (text: string): string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status!)

const descriptorsOf = (cx: Scenario): number => readdirSync(`/proc/${cx.pid()}/fd`).length

const residentOf = (cx: Scenario): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cx.pid()}/status`, 'utf8'))?.[1]) * 1024

void t.test('pipelines', async (t) => {
  const plain = await startHttp({
    handler: (seen, body) => ({ body: `${seen.url}=${body.length};` }),
  })
  const secure = await startSecure(['up.test'], (seen, body) => ({
    body: `${seen.url}=${body.length};`,
  }))
  t.teardown(() => Promise.all([plain.close(), secure.close()]))
  const options: ScenarioOptions = {
    hosts: ['up.test'],
    rules: ruleSet(
      `id: all, allow: ['http://up.test:${plain.port}', 'https://up.test:${secure.port}'], ${LOOPBACK}`,
      `id: no, deny: ['http://up.test:${plain.port}', 'https://up.test:${secure.port}'], paths: [/no/**]`,
    ),
  }
  const pipeline = (target: string, host: string): string => {
    const keep = { keep: true }
    const chunked = (path: string): string =>
      `POST ${target}${path} HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n`
    return [
      request('GET', `${target}/1`, host, keep),
      request('POST', `${target}/no/2`, host, { ...keep, body: 'GET /smuggled HTTP/1.1\r\n\r\n' }),
      chunked('/3'),
      chunked('/no/4'),
      request('POST', `${target}/5`, host, { ...keep, body: 'x'.repeat(3000) }),
      request('HEAD', `${target}/6`, host, keep),
      request('HEAD', `${target}/no/7`, host, keep),
      request('GET', `${target}/8`, host),
    ].join('')
  }
  const check = (
    t: { strictSame: (a: unknown, b: unknown) => void },
    answer: string,
    upstream: Upstream,
  ): void => {
    t.strictSame(statusesOf(answer), ['200', '403', '200', '403', '200', '200', '403', '200'])
    t.strictSame(
      upstream.seen.map(({ url, body }) => `${url}=${body.length}`),
      ['/1=0', '/3=5', '/5=3000', '/6=0', '/8=0'],
    )
  }
  scenario(
    t,
    'R49: I8: calls that are denied in the middle change nothing around them',
    options,
    async (cx, t) => {
      const host = `up.test:${plain.port}`
      const answer = await exchange(
        net.connect(cx.proxyPort, '127.0.0.1'),
        pipeline(`http://${host}`, host),
        4000,
      )
      check(t, answer, plain)
      t.match(answer, /\/1=0;[^]*\/3=5;[^]*\/5=3000;[^]*\/8=0;/, 'in order')
    },
  )
  scenario(t, 'R49: the same inside a tunnel, byte by byte', options, async (cx, t) => {
    const host = `up.test:${secure.port}`
    const socket = await cx.secure(host)
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    for (const byte of pipeline('', host)) {
      if (!socket.write(byte, 'latin1'))
        await new Promise((resolve) => socket.once('drain', resolve))
    }
    await new Promise((resolve) => socket.once('close', resolve))
    check(t, answer, secure)
  })
})

void t.test('answers that do not wait', async (t) => {
  const upstream = await startTcp((socket) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      const begins = text === ''
      text += chunk.toString('latin1')
      if (begins && text.includes('/early'))
        socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nX-Early: 1\r\n\r\nno!')
      // An answer that goes on while the request does.
      if (begins && text.includes('/echo'))
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      if (text.includes('/echo')) {
        const body = begins ? '' : chunk.toString('latin1')
        if (body !== '') socket.write(`${body.length.toString(16)}\r\n${body}\r\n`)
        if (text.endsWith('0\r\n\r\n')) socket.write('0\r\n\r\n')
      }
    })
    socket.on('end', () => socket.end())
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`

  scenario(
    t,
    'R49: an answer before the request’s end arrives whole, and the connection ends behind it',
    plainly(upstream),
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      const answer = exchange(
        socket,
        `POST http://${host}/early HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`,
        4000,
      )
      t.match(await answer, /^HTTP\/1\.1 413 Too Large\r\n[^]*no!$/)
      const record = await cx.record(({ url }) => url?.path === '/early')
      t.equal(record.http?.response?.status_code, 413)
      await until(() => upstream.open() === 0, 'the upstream connection is not kept')
    },
  )

  scenario(t, 'both directions go on at once', plainly(upstream), async (cx, t) => {
    const socket = net.connect(cx.proxyPort, '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')))
    socket.write(
      `POST http://${host}/echo HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    )
    await until(
      () => answer.includes('\r\n\r\n'),
      'the head is there before a byte of the body is sent',
    )
    for (const word of ['one', 'two', 'three']) {
      socket.write(`${word.length}\r\n${word}\r\n`)
      await until(() => answer.includes(word), `${word} comes back before the next is sent`)
    }
    socket.write('0\r\n\r\n')
    await until(() => answer.endsWith('0\r\n\r\n'), 'the end comes back')
    socket.destroy()
    t.match(answer, /^HTTP\/1\.1 200 OK/)
  })
})

void t.test('upstreams that leave', async (t) => {
  const heads = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
  const bodies = {
    length: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd',
    chunked:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX-T: 1\r\n\r\n',
  }
  const upstream = await startTcp((socket) => {
    socket.once('data', (chunk: Buffer) => {
      const [, kind, at, end] =
        /\/(length|chunked)\/(\d+)\/(end|reset) /.exec(chunk.toString('latin1')) ?? []
      const text =
        (kind === 'chunked' ? heads : '') + (kind === 'chunked' ? bodies.chunked : bodies.length)
      socket.write(text.slice(0, Number(at)), 'latin1', () => {
        if (end === 'end') socket.end()
        else setTimeout(() => socket.resetAndDestroy(), 20)
      })
    })
    socket.on('end', () => socket.end())
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`

  scenario(
    t,
    'R49: one that closes at any byte never passes for one that finished',
    plainly(upstream),
    async (cx, t) => {
      const ask = async (
        kind: 'length' | 'chunked',
        at: number,
        end: 'end' | 'reset',
      ): Promise<void> => {
        const whole = kind === 'chunked' ? heads + bodies.chunked : bodies.length
        const text = await cx.raw(request('GET', `http://${host}/${kind}/${at}/${end}`, host), 3000)
        const headEnd = whole.lastIndexOf('abcd') - (kind === 'chunked' ? 3 : 0)
        const title = `${kind}, ${end} behind ${at} of ${whole.length}`
        const isComplete =
          kind === 'chunked' ? text.includes('0\r\nX-T: 1\r\n\r\n') : text.endsWith('\r\n\r\nabcd')
        if (at === whole.length) t.match(text, /HTTP\/1\.1 200 OK[^]*abcd/, title)
        else if (at < headEnd)
          t.match(
            text,
            /HTTP\/1\.1 502 Sallyport: (?:response-incomplete|response-malformed)/,
            title,
          )
        else t.notOk(isComplete, title)
      }
      for (const kind of ['length', 'chunked'] as const) {
        const length = (kind === 'chunked' ? heads + bodies.chunked : bodies.length).length
        const places = Array.from({ length: length + 1 }, (_, at) => at)
        for (let at = 0; at < places.length; at += 16)
          await Promise.all(
            places.slice(at, at + 16).map((place) => ask(kind, place, place % 2 ? 'end' : 'reset')),
          )
      }
    },
  )
})

void t.test('readers that do not read', { timeout: 110_000 }, async (t) => {
  let poured = 0
  const unread: IncomingMessage[] = []
  const block = Buffer.alloc(64 * 1024, 'x')
  const upstream = await startHttp({
    raw: (incoming, response) => {
      if (incoming.method === 'POST') {
        // Never read: the request has to wait.
        unread.push(incoming)
        incoming.on('error', () => undefined)
        return
      }
      response.writeHead(200, { 'Content-Length': String(block.length * 1600) })
      const pour = (): void => {
        while (poured < block.length * 1600) {
          poured += block.length
          if (!response.write(block)) {
            response.once('drain', pour)
            return
          }
        }
        response.end()
      }
      pour()
    },
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`

  scenario(
    t,
    'I7: a client that does not read holds its upstream back, and one that does not take its client',
    plainly(upstream),
    async (cx, t) => {
      const before = residentOf(cx)
      const reader = net.connect(cx.proxyPort, '127.0.0.1')
      reader.pause()
      reader.write(request('GET', `http://${host}/down`, host))
      await sleep(1500)
      const held = poured
      t.ok(held < 40 * MIB, `the upstream was held at ${held} bytes`)
      const writer = net.connect(cx.proxyPort, '127.0.0.1')
      writer.on('error', () => undefined)
      let sent = 0
      writer.write(
        `POST http://${host}/up HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${100 * MIB}\r\n\r\n`,
      )
      while (sent < 100 * MIB) {
        sent += block.length
        if (!writer.write(block)) {
          const flows = await Promise.race([
            new Promise<boolean>((resolve) => writer.once('drain', () => resolve(true))),
            sleep(1000).then(() => false),
          ])
          if (!flows) break
        }
      }
      t.ok(sent < 40 * MIB, `the client was held at ${sent} bytes`)
      t.ok(residentOf(cx) - before < 60 * MIB, 'and little of it is held here')
      let read = 0
      reader.on('data', (chunk: Buffer) => (read += chunk.length))
      reader.resume()
      await until(() => read > block.length * 1600, 'it goes on where it was')
      for (const incoming of unread) incoming.socket.destroy()
      await cx.record(({ url }) => url?.path === '/up')
      writer.destroy()
      reader.destroy()
    },
  )
})

void t.test('connections by the thousand', { timeout: 110_000 }, async (t) => {
  const upstream = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const bytes = [
    '',
    'GET http://up.test/ HT',
    `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nX-Half: `,
    `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `POST http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 9\r\n\r\nhalf`,
  ]

  scenario(
    t,
    'I7: ten thousand connections, opened and dropped, leave nothing behind',
    plainly(upstream),
    async (cx, t) => {
      t.match(await cx.raw(request('GET', `http://${host}/`, host)), /^HTTP\/1\.1 200/)
      const before = descriptorsOf(cx)
      const drop = async (at: number): Promise<void> => {
        const socket: Socket = net.connect(cx.proxyPort, '127.0.0.1')
        socket.on('error', () => undefined)
        await new Promise<void>((resolve) =>
          socket.once('connect', resolve).once('close', () => resolve()),
        )
        socket.write(bytes[at % bytes.length]!)
        await sleep(at % 7)
        if (at % 2) socket.resetAndDestroy()
        else socket.destroy()
      }
      for (let at = 0; at < CONNECTIONS; at += AT_ONCE)
        await Promise.all(Array.from({ length: AT_ONCE }, (_, more) => drop(at + more)))
      await until(() => descriptorsOf(cx) <= before + 3, 'every socket is closed')
      t.match(
        await cx.raw(request('GET', `http://${host}/`, host)),
        /^HTTP\/1\.1 200/,
        'and it goes on',
      )
    },
  )
})
