// HTTP bodies as they flow: constant memory, back-pressure, flushing, informational responses and trailers, and what each
// side is told when the other one leaves half-way. Also what upstreams answer that is no HTTP.

import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'

import t from 'tap'

import {
  exchange,
  pki,
  readHead,
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
const STREAM_BYTES = 1024 * MIB
const BLOCK = randomBytes(64 * 1024)
const BLOCKS = STREAM_BYTES / BLOCK.length
const GROWTH_BYTES_MAX = 150 * MIB
const LOOPBACK = 'addresses: [127.0.0.0/8]'

/** One rule for one plain upstream. */
const plainly = (upstream: Upstream, more = ''): ScenarioOptions => ({
  hosts: ['up.test'],
  rules: ruleSet(`id: all, allow: 'http://up.test:${upstream.port}', ${LOOPBACK}${more}`),
})

const memory = (pid: number, field: 'VmRSS' | 'VmHWM'): number => {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  )
  return Number(line?.[1]) * 1024
}

/** Writes the blocks as fast as they are taken; says so after each. */
const pour = async (
  stream: http.ServerResponse | http.ClientRequest,
  onBlock: () => void = () => undefined,
): Promise<void> => {
  for (let at = 0; at < BLOCKS && !stream.destroyed; at += 1) {
    onBlock()
    if (!stream.write(BLOCK))
      await new Promise<void>((resolve) => stream.once('drain', resolve).once('close', resolve))
  }
  stream.end()
}

const digestOf = async (stream: AsyncIterable<Buffer>): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}

const expectedDigest = (): string => {
  const hash = createHash('sha256')
  for (let at = 0; at < BLOCKS; at += 1) hash.update(BLOCK)
  return hash.digest('hex')
}

/** An HTTP client on a socket that is there. */
const ask = (
  socket: Socket,
  options: http.RequestOptions,
): { outgoing: http.ClientRequest; answer: Promise<IncomingMessage> } => {
  const outgoing = http.request({ ...options, createConnection: () => socket })
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve)
    outgoing.once('error', reject)
  })
  answer.catch(() => undefined)
  return { outgoing, answer }
}

/** A TCP upstream that is told the head of each request, and which one on its connection it is. */
const startScripted = (
  answer: (path: string, socket: Socket, nth: number, head: string) => void,
): Promise<Upstream & { heads: string[] }> => {
  const heads: string[] = []
  return startTcp((socket) => {
    let text = ''
    let nth = 0
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end)
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
        text = text.slice(end + 4 + length)
        heads.push(head)
        answer(head.split(' ')[1] ?? '', socket, nth, head)
        nth += 1
      }
    })
    socket.on('end', () => socket.end())
  }).then((upstream) => ({ ...upstream, heads }))
}

/** What a raw client gets, and whether the connection was over by itself. */
const closes = async (
  cx: Scenario,
  bytes: string,
  waitMs = 2500,
): Promise<{ text: string; closed: boolean }> => {
  const startedAt = performance.now()
  const text = await exchange(net.connect(cx.proxyPort, '127.0.0.1'), bytes, waitMs)
  return { text, closed: performance.now() - startedAt < waitMs - 500 }
}

void t.test('large bodies through an intercepted tunnel', { timeout: 110_000 }, async (t) => {
  const expected = expectedDigest()
  let uploaded: Promise<string> | undefined
  const upstream = await startHttp({
    tls: pki.issue({ names: ['up.test'] }),
    raw: (incoming, response) => {
      if (incoming.method === 'PUT') {
        uploaded = digestOf(incoming)
        uploaded.then(
          (digest) => response.end(digest),
          () => response.destroy(),
        )
      } else void pour(response)
    },
  })
  t.teardown(() => upstream.close())
  scenario(
    t,
    'I7: 1 GiB down and 1 GiB up arrive whole, and the sidecar’s memory stays bounded',
    {
      hosts: ['up.test'],
      rules: ruleSet(`id: all, allow: 'https://up.test:${upstream.port}', ${LOOPBACK}`),
    },
    async (cx, t) => {
      const host = `up.test:${upstream.port}`
      await exchange(await cx.secure(host), request('HEAD', '/', host))
      const before = memory(cx.pid(), 'VmRSS')

      const down = ask(await cx.secure(host), { path: '/down', headers: { host } })
      down.outgoing.end()
      t.equal(await digestOf(await down.answer), expected, 'down')
      t.match(await cx.record(({ url }) => url?.path === '/down'), {
        event: { reason: 'allowed', outcome: 'success' },
        http: { response: { bytes: STREAM_BYTES } },
      })

      const up = ask(await cx.secure(host), { method: 'PUT', path: '/up', headers: { host } })
      await pour(up.outgoing)
      t.equal((await (await up.answer).toArray()).join(''), expected, 'up, chunked')
      t.match(await cx.record(({ url }) => url?.path === '/up'), {
        event: { reason: 'allowed' },
        http: { request: { bytes: STREAM_BYTES } },
      })

      const growth = memory(cx.pid(), 'VmHWM') - before
      t.ok(growth < GROWTH_BYTES_MAX, `grew by ${Math.round(growth / MIB)} MiB at most`)
      t.ok(
        cx.records().some(({ event }) => event.action === 'call-progress'),
        'a long call says so as it goes',
      )
    },
  )
})

void t.test('flow', async (t) => {
  const responses: ServerResponse[] = []
  let poured = 0
  let read = 0
  const upstream = await startHttp({
    raw: (incoming, response) => {
      if (incoming.url === '/events') {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' })
        response.flushHeaders()
        responses.push(response)
      } else if (incoming.url === '/sink') {
        // Never read until the test says so.
        incoming.pause()
        incoming.on('data', (chunk: Buffer) => (read += chunk.length))
        incoming.pause()
        incoming.on('end', () => response.end('done'))
        responses.push(response)
      } else void pour(response, () => (poured += BLOCK.length))
    },
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const options = plainly(upstream)

  scenario(
    t,
    'an event stream arrives event by event, its head before any',
    options,
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.write(request('GET', `http://${host}/events`, host))
      t.match(await readHead(socket), /^HTTP\/1\.1 200 [^]*text\/event-stream/)
      let text = ''
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
      socket.resume()
      for (const number of [1, 2, 3]) {
        responses[0]!.write(`data: ${number}\n\n`)
        await until(() => text.includes(`data: ${number}\n\n`), `event ${number} arrives`)
      }
      t.notOk(socket.closed)
      responses[0]!.end()
      await until(() => text.endsWith('0\r\n\r\n'), 'the stream ends')
      t.equal((await cx.record(({ url }) => url?.path === '/events')).event.reason, 'allowed')
    },
  )

  scenario(
    t,
    'a client that stops to read stops the upstream, and gets the rest when it goes on',
    options,
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.write(request('GET', `http://${host}/pour`, host))
      t.match(await readHead(socket), /^HTTP\/1\.1 200/)
      let before = -1
      await until(async () => {
        before = poured
        await sleep(500)
        return poured > 0 && poured === before
      }, 'the upstream stalls')
      t.ok(poured < 64 * MIB, `stalled after ${Math.round(poured / MIB)} MiB`)
      let bytes = 0
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length))
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve))
      t.equal(poured, STREAM_BYTES)
      t.ok(bytes > STREAM_BYTES, 'all of it arrived')
    },
  )

  scenario(
    t,
    'an upstream that does not read stops the client, and gets the rest when it goes on',
    options,
    async (cx, t) => {
      responses.length = 0
      const { outgoing, answer } = ask(net.connect(cx.proxyPort, '127.0.0.1'), {
        method: 'POST',
        path: `http://${host}/sink`,
        headers: { host, 'Content-Length': STREAM_BYTES },
      })
      let sent = 0
      const pouring = pour(outgoing, () => (sent += BLOCK.length))
      let before = -1
      await until(async () => {
        before = sent
        await sleep(500)
        return responses.length > 0 && sent === before
      }, 'the client stalls')
      t.ok(sent < 64 * MIB, `stalled after ${Math.round(sent / MIB)} MiB`)
      responses[0]!.req.resume()
      await pouring
      t.equal((await answer).statusCode, 200)
      t.equal(read, STREAM_BYTES)
    },
  )
})

void t.test('what stands around a response', async (t) => {
  const upstream = await startHttp({
    raw: (incoming, response) => {
      response.sendDate = false
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        switch (incoming.url ?? '') {
          case '/hints':
            response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => {
              response.end('late')
            })
            break
          case '/chatter':
            response.socket?.write(`HTTP/1.1 103 \r\nLink: ${'x'.repeat(1000)}\r\n\r\n`.repeat(100))
            break
          case '/trailers':
            response.writeHead(200, { Trailer: 'X-Sum' })
            response.write('body')
            response.addTrailers({ 'X-Sum': 'abc' })
            response.end()
            break
          case '/204':
            response.writeHead(204).end()
            break
          case '/304':
            response.writeHead(304, { ETag: '"a"', 'Content-Length': '12' }).end()
            break
          default:
            response.writeHead(200, {
              'Content-Length': '4',
              'X-Expect': incoming.headers.expect ?? 'none',
            })
            response.end(
              incoming.method === 'HEAD'
                ? ''
                : Buffer.concat(chunks).toString().padEnd(4, '.').slice(0, 4),
            )
        }
      })
    },
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const options: ScenarioOptions = {
    hosts: ['up.test'],
    rules: ruleSet(
      `id: all, allow: 'http://up.test:${upstream.port}', ${LOOPBACK}`,
      `id: no, deny: 'http://up.test', paths: ['/no/**']`,
    ),
  }

  scenario(
    t,
    'Expect: 100-continue is answered after the decision is on record, and never where it is refused',
    options,
    async (cx, t) => {
      const head = (path: string): string =>
        `POST http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n`
      const before = upstream.connections()
      const refused = await cx.raw(head('/no/x'))
      t.match(refused, /^HTTP\/1\.1 403 Sallyport: denied-by-rule/)
      t.notMatch(refused, /100 Continue/i)
      t.equal(upstream.connections(), before)

      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.write(head('/yes'))
      t.match(await readHead(socket), /^HTTP\/1\.1 100 /)
      t.ok(
        cx
          .records()
          .some(({ event, url }) => event.action === 'call-started' && url?.path === '/yes'),
        'I4: it is on record by then',
      )
      const answer = await exchange(socket, 'abcd')
      t.match(answer, /^HTTP\/1\.1 200 [^]*\r\n\r\nabcd$/)
      t.notMatch(answer, /HTTP\/1\.1 100/, 'one 100 and no more')
      t.match(answer, /X-Expect: none/i, 'this hop has met the expectation')
    },
  )

  scenario(
    t,
    'early hints go on to who can take them, and trailers too',
    options,
    async (cx, t) => {
      t.match(
        await cx.raw(request('GET', `http://${host}/hints`, host)),
        /^HTTP\/1\.1 103 [^]*link: <\/a\.css>; rel=preload\r\n[^]*HTTP\/1\.1 200 [^]*late/i,
      )
      t.match(
        await cx.raw(request('GET', `http://${host}/chatter`, host)),
        /^(?:HTTP\/1\.1 103 \r\nLink: x+\r\n\r\n){2,99}HTTP\/1\.1 502 Sallyport: response-malformed/,
        'not without end',
      )
      const old = await cx.raw(`GET http://${host}/hints HTTP/1.0\r\nHost: ${host}\r\n\r\n`)
      t.match(old, /^HTTP\/1\.1 200 [^]*late/, 'HTTP/1.0 knows none')
      t.notMatch(old, /chunked/i)
      t.match(
        await cx.raw(request('GET', `http://${host}/trailers`, host)),
        /\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: abc\r\n\r\n$/,
      )
    },
  )

  scenario(
    t,
    'HEAD, 204 and 304 have no body, keep their fields, and leave the connection usable',
    options,
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      const next = async (method: string, path: string): Promise<string> => {
        socket.write(request(method, `http://${host}${path}`, host, { keep: true }))
        return readHead(socket)
      }
      const head = await next('HEAD', '/head')
      t.match(head, /^HTTP\/1\.1 200 [^]*content-length: 4\r\n/i)
      const none = await next('GET', '/204')
      t.match(none, /^HTTP\/1\.1 204/)
      t.notMatch(none, /content-length|transfer-encoding/i)
      const unchanged = await next('GET', '/304')
      t.match(unchanged, /^HTTP\/1\.1 304 [^]*etag: "a"/i)
      t.notMatch(unchanged, /transfer-encoding/i)
      t.match(await next('GET', '/last'), /^HTTP\/1\.1 200/)
      socket.destroy()
    },
  )
})

void t.test('a side that leaves', async (t) => {
  const gone: string[] = []
  const upstream = await startScripted((path, socket) => {
    socket.once('close', () => gone.push(path))
    switch (path) {
      case '/short':
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!')
        break
      case '/cut':
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n')
        break
      case '/cut-in-chunk':
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabcd')
        setTimeout(() => socket.resetAndDestroy(), 100)
        break
      case '/bad-chunk':
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nzz\r\n')
        break
      case '/whole':
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n')
        break
      case '/until-close':
        socket.end('HTTP/1.1 200 OK\r\n\r\nabcd')
        break
      case '/nothing':
        socket.end()
        break
      case '/reset':
        socket.resetAndDestroy()
        break
      case '/half-head':
        socket.end('HTTP/1.1 200 OK\r\nX-A: b\r\n')
        break
      case '/slow':
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n')
        break
      default:
        // No answer at all.
        break
    }
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const get = (path: string): string =>
    request('GET', `http://${host}${path}`, host, { keep: true })
  const options = plainly(upstream)

  scenario(
    t,
    'an upstream that leaves half-way breaks the client’s connection and never ends it cleanly',
    options,
    async (cx, t) => {
      const short = await closes(cx, get('/short'))
      t.match(short.text, /^HTTP\/1\.1 200 [^]*content-length: 100\r\n[^]*ten bytes!$/i)
      t.ok(short.closed, 'the client is told')
      for (const path of ['/cut', '/cut-in-chunk', '/bad-chunk']) {
        const { text, closed } = await closes(cx, get(path))
        t.match(text, /^HTTP\/1\.1 200 [^]*abcd/, path)
        t.notMatch(text, /\r\n0\r\n/, `${path}: not ended cleanly`)
        t.ok(closed, `${path}: the client is told`)
      }
      for (const path of ['/short', '/cut', '/cut-in-chunk', '/bad-chunk'])
        t.match(await cx.record(({ url }) => url?.path === path), {
          event: {
            action: 'call-ended',
            outcome: 'failure',
            reason: path === '/bad-chunk' ? /upstream-gone|response-malformed/ : 'upstream-gone',
          },
        })
      const whole = await closes(cx, request('GET', `http://${host}/whole`, host))
      t.match(whole.text, /abcd\r\n0\r\n\r\n$/, 'twin')
      const untilClose = await closes(cx, request('GET', `http://${host}/until-close`, host))
      t.match(untilClose.text, /^HTTP\/1\.1 200 [^]*abcd/, 'twin')
      for (const path of ['/whole', '/until-close'])
        t.equal((await cx.record(({ url }) => url?.path === path)).event.reason, 'allowed')
    },
  )

  scenario(
    t,
    'an upstream that leaves before it answers comes to 502 response-incomplete',
    options,
    async (cx, t) => {
      for (const path of ['/nothing', '/reset', '/half-head']) {
        const heads = upstream.heads.length
        t.match(
          await cx.raw(request('GET', `http://${host}${path}`, host)),
          /^HTTP\/1\.1 502 Sallyport: response-incomplete/,
          path,
        )
        t.equal(upstream.heads.length, heads + 1, `${path}: not tried again on a fresh connection`)
      }
      t.match(await cx.raw(request('GET', `http://${host}/whole`, host)), /^HTTP\/1\.1 200/)
    },
  )

  scenario(
    t,
    'a client that leaves in the response, before it, or in its upload takes the upstream connection along',
    options,
    async (cx, t) => {
      for (const [path, bytes] of [
        ['/slow', get('/slow')],
        ['/silent', get('/silent')],
        [
          '/upload',
          `PUT http://${host}/upload HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\nten bytes!`,
        ],
        [
          '/upload-chunked',
          `PUT http://${host}/upload-chunked HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n`,
        ],
      ] as const) {
        const socket = net.connect(cx.proxyPort, '127.0.0.1')
        socket.write(bytes)
        if (path === '/slow') await readHead(socket)
        else
          await until(
            () => upstream.heads.some((head) => head.includes(` ${path} `)),
            `${path} reaches the upstream`,
          )
        const leftAt = performance.now()
        socket.destroy()
        await until(() => gone.includes(path), `${path}: the upstream is told`)
        t.ok(performance.now() - leftAt < 2000, `${path}: soon`)
        t.match(await cx.record(({ url }) => url?.path === path), {
          event: { action: 'call-ended', outcome: 'failure', reason: 'client-gone' },
        })
      }
      await until(() => upstream.open() === 0, 'no upstream connection is left')
    },
  )
})

void t.test('upstreams that speak no sound HTTP', async (t) => {
  const answers: Readonly<Record<string, string>> = {
    '/both': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    '/both-reversed':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n',
    '/two-lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde',
    '/length-list': 'HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nabcde',
    '/signed-length': 'HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nabcd',
    '/coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabcd',
    // What is wrong with a body that comes with its head is known before anything is sent.
    '/chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    '/garbage': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    '/no-status': 'HTTP/1.1 OK\r\n\r\n',
    '/other-version': 'HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n',
    '/space-before-colon': 'HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nabcd',
    '/nul': 'HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n',
    '/switching': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    '/huge': `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(200_000)}\r\nContent-Length: 0\r\n\r\n`,
    '/huge-many': `HTTP/1.1 200 OK\r\n${'X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(5000)}Content-Length: 0\r\n\r\n`,
    '/fine': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine',
    '/fine-large': `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(20_000)}\r\nContent-Length: 4\r\n\r\nfine`,
  }
  const upstream = await startScripted((path, socket) => void socket.write(answers[path] ?? ''))
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`

  scenario(
    t,
    'a response that two parsers could read differently, or none, comes to 502 response-malformed',
    plainly(upstream),
    async (cx, t) => {
      for (const path of Object.keys(answers)) {
        const answer = await cx.raw(request('GET', `http://${host}${path}`, host), 3000)
        if (path.startsWith('/fine')) t.match(answer, /^HTTP\/1\.1 200 [^]*fine$/, path)
        else {
          t.match(answer, /^HTTP\/1\.1 502 Sallyport: response-malformed/, path)
          t.match(await cx.record(({ url }) => url?.path === path), {
            event: { outcome: 'failure', reason: 'response-malformed' },
          })
        }
      }
      await until(() => upstream.open() <= 2, 'unsound connections are not kept')
    },
  )

  // A second answer that nobody asked for must not become the next call's.
  const more = await startScripted((path, socket) => {
    const mine = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine'
    const extra = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
    socket.write(path === '/extra' ? `${mine}${extra}` : mine)
  })
  t.teardown(() => more.close())
  scenario(
    t,
    'an answer nobody asked for never becomes the next call’s',
    plainly(more),
    async (cx, t) => {
      const target = `up.test:${more.port}`
      for (const path of ['/extra', '/next', '/extra', '/next']) {
        const answer = await cx.raw(request('GET', `http://${target}${path}`, target))
        t.match(answer, /^HTTP\/1\.1 (?:200 [^]*mine$|502)/, path)
        t.notMatch(answer, /poison/)
      }
    },
  )
})

void t.test('kept connections that are dead', async (t) => {
  // Answers the first request of each connection and hangs up at the second.
  const upstream = await startScripted((path, socket, nth, head) => {
    if (path === '/dies-always' || nth > 0) socket.destroy()
    else
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${head.startsWith('HEAD') ? '' : 'ok'}`,
      )
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  scenario(
    t,
    'a call is tried again only where it can have had no effect: safe methods on a kept connection, once',
    plainly(upstream),
    async (cx, t) => {
      const call = async (
        method: string,
        path: string,
        body?: string,
      ): Promise<[string, number]> => {
        const before = upstream.heads.length
        const answer = await cx.raw(
          request(method, `http://${host}${path}`, host, body === undefined ? {} : { body }),
        )
        return [answer.slice(0, answer.indexOf('\r\n')), upstream.heads.length - before]
      }
      t.match(await call('GET', '/warm'), [/200/, 1])
      t.match(await call('GET', '/again'), [/200/, 2], 'tried again on a fresh connection')
      t.match(await call('HEAD', '/again'), [/200/, 2])
      t.match(await call('GET', '/warm'), [/200/, 2], 'kept after HEAD too')
      t.match(
        await call('POST', '/once', 'x'),
        [/502 Sallyport: response-incomplete/, 1],
        'POST is not',
      )
      t.match(await call('GET', '/warm'), [/200/, 1])
      t.match(await call('DELETE', '/once'), [/502 Sallyport: response-incomplete/, 1])
      t.match(await call('GET', '/warm'), [/200/, 1])
      t.match(
        await call('GET', '/dies-always'),
        [/502 Sallyport: response-incomplete/, 2],
        'and once only',
      )
      t.match(await call('GET', '/dies-always'), [/502 Sallyport: response-incomplete/, 1])
      t.match(await call('POST', '/fresh', 'x'), [/200/, 1])
    },
  )
})

void t.test('connections that are kept are this task’s and this origin’s', async (t) => {
  const [one, other] = await Promise.all([startSecure(['one.test']), startSecure(['other.test'])])
  t.teardown(() => Promise.all([one.close(), other.close()]))
  scenario(
    t,
    'I2: a kept connection serves its own origin only',
    {
      hosts: ['one.test', 'other.test'],
      rules: ruleSet(
        `id: all, allow: ['https://one.test:${one.port}', 'https://other.test:${other.port}'], ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      for (const _ of [1, 2, 3])
        for (const [name, { port }] of [
          ['one.test', one],
          ['other.test', other],
        ] as const) {
          const host = `${name}:${port}`
          t.match(await cx.raw(request('GET', `https://${host}/`, host)), /^HTTP\/1\.1 200/)
        }
      t.equal(one.connections(), 1)
      t.equal(other.connections(), 1)
      t.ok(one.seen.every(({ rawHeaders }) => rawHeaders[1] === `one.test:${one.port}`))
    },
  )
})
