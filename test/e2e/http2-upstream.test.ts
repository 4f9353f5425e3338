// Upstreams that speak HTTP/2: what a client is offered, what arrives, and that all that is done to calls is done to these too.

import type { ServerHttp2Session } from 'node:http2'

import t from 'tap'

import { ask, openHttp2, secureHttp2 } from '../fixtures/http2-client.ts'
import { startHttp2, type Http2Upstream } from '../fixtures/http2-upstream.ts'
import {
  pki,
  readHead,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
} from '../fixtures/scenario.ts'
import { startTcp, type Upstream } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const certificate = pki.issue({ names: ['two.test', 'held.test'] })

let two: Http2Upstream
let one: Upstream
let upgrading: Upstream

scenario(
  t,
  'R41: a client is offered what the upstream speaks, and curl works with both',
  async () => {
    two = await startHttp2(certificate, ({ version }) => ({ body: `HTTP/${version}` }))
    one = await startSecure(['one.test'], () => ({ body: 'HTTP/1.1' }))
    return {
      hosts: ['two.test', 'one.test'],
      rules: ruleSet(
        `id: two, allow: 'https://two.test:${two.port}', ${LOOPBACK}`,
        `id: one, allow: 'https://one.test:${one.port}', ${LOOPBACK}`,
      ),
    }
  },
  async (cx, t) => {
    cx.track(one)
    try {
      const variables = cx.env()
      const curl = (version: string, url: string): Promise<{ stdout: string }> =>
        cx.client('curl', ['-sS', version, '-w', ' client %{http_version}', url], { variables })
      const at = { two: `https://two.test:${two.port}/`, one: `https://one.test:${one.port}/` }
      t.equal((await curl('--http2', at.two)).stdout, 'HTTP/2.0 client 2')
      t.equal(two.connections(), 1, 'what was dialed to ask carries the request')
      t.equal((await curl('--http1.1', at.two)).stdout, 'HTTP/1.1 client 1.1')
      t.equal((await curl('--http2', at.one)).stdout, 'HTTP/1.1 client 1.1')
      // A client that leaves no choice is translated for.
      const session = await openHttp2(cx, `one.test:${one.port}`)
      t.match(await ask(session, { ':path': '/' }), { status: 200, body: 'HTTP/1.1' })
      session.close()
    } finally {
      await two.close()
    }
  },
)

scenario(
  t,
  'R36: nothing is dialed for a tunnel in which a person has to let each call through',
  async () => {
    two = await startHttp2(certificate)
    return {
      hosts: ['two.test', 'held.test'],
      rules: ruleSet(
        `id: held, hold: 'https://held.test:${two.port}', reviewers: [nobody], ${LOOPBACK}`,
        `id: two, allow: 'https://two.test:${two.port}', ${LOOPBACK}`,
      ),
      limits: 'holdWaitMs: 200',
    }
  },
  async (cx, t) => {
    try {
      const both = ['h2', 'http/1.1']
      const held = await secureHttp2(cx, `held.test:${two.port}`, { protocols: both })
      t.equal(held.alpnProtocol, 'h2')
      held.destroy()
      const session = await openHttp2(cx, `held.test:${two.port}`)
      t.match(await ask(session, { ':path': '/' }), { status: 403 })
      session.close()
      t.equal(two.connections(), 0)
      const allowed = await secureHttp2(cx, `two.test:${two.port}`, { protocols: both })
      t.equal(allowed.alpnProtocol, 'h2')
      t.equal(two.connections(), 1, 'its twin is asked')
      allowed.destroy()
    } finally {
      await two.close()
    }
  },
)

scenario(
  t,
  'I3: a credential is brokered over HTTP/2 as it is over HTTP/1.1',
  async () => {
    two = await startHttp2(certificate, ({ headers }) => ({
      body: headers['x-echo'] === undefined ? 'ok' : String(headers.authorization),
    }))
    return {
      hosts: ['two.test'],
      secrets: { TOKEN: 'canary-http2-1f5ab83c02' },
      config: `credentials:\n  api: { source: { env: TOKEN }, inject: { bearer: true }, hosts: ['two.test:${two.port}'] }\n`,
      rules: ruleSet(
        `id: two, allow: 'https://two.test:${two.port}', credential: api, ${LOOPBACK}`,
      ),
    }
  },
  async (cx, t) => {
    try {
      const session = await openHttp2(cx, `two.test:${two.port}`)
      const headers = { ':path': '/a', authorization: 'Bearer mine', cookie: 'a=1' }
      t.match(await ask(session, headers), { status: 200, body: 'ok' })
      const [seen] = two.seen
      t.equal(seen?.version, '2.0')
      t.equal(seen?.headers.authorization, 'Bearer canary-http2-1f5ab83c02')
      t.notHas(seen?.headers, 'cookie')
      const record = await cx.record(({ url }) => url?.path === '/a')
      t.match(record.sallyport.credential, { name: 'api', action: 'replaced' })
      await ask(session, { ':path': '/echo', 'x-echo': '1' })
      await until(
        () => cx.records().some(({ event }) => /echo/.test(event.action)),
        'an answer that carries it is told',
      )
      session.close()
    } finally {
      await two.close()
    }
  },
)

scenario(
  t,
  'a call of a model over HTTP/2 is read for the record',
  async () => {
    two = await startHttp2(certificate, () => ({
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        id: 'chatcmpl-1',
        object: 'chat.completion',
        model: 'gpt-5-mini',
        choices: [
          { index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' },
        ],
        usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
      }),
    }))
    return {
      hosts: ['two.test'],
      rules: ruleSet(`id: two, allow: 'https://two.test:${two.port}', ${LOOPBACK}`),
    }
  },
  async (cx, t) => {
    try {
      const session = await openHttp2(cx, `two.test:${two.port}`)
      const body = JSON.stringify({
        model: 'gpt-5-mini',
        messages: [{ role: 'user', content: 'hello' }],
      })
      const headers = {
        ':path': '/v1/chat/completions',
        ':method': 'POST',
        'content-type': 'application/json',
      }
      t.match(await ask(session, headers, body), { status: 200, body: /"hi"/ })
      t.equal(two.seen[0]?.body, body)
      const record = await cx.record(({ url }) => url?.path === '/v1/chat/completions')
      t.match(record.gen_ai, {
        request: { model: 'gpt-5-mini' },
        usage: { input_tokens: 7, output_tokens: 3 },
      })
      session.close()
    } finally {
      await two.close()
    }
  },
)

scenario(
  t,
  'R44: no answer tells a client of another way: Alt-Svc is removed',
  async () => {
    const altSvc = { 'alt-svc': 'h3=":443"; ma=86400' }
    two = await startHttp2(certificate, () => ({ headers: altSvc, body: 'two' }))
    one = await startSecure(['one.test'], () => ({
      headers: ['Alt-Svc', altSvc['alt-svc']],
      body: 'one',
    }))
    upgrading = await startTcp((socket) =>
      socket.once('data', () =>
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAlt-Svc: ${altSvc['alt-svc']}\r\nX-Kept: 1\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n`,
        ),
      ),
    )
    two.server.on('session', (session: ServerHttp2Session) =>
      session.altsvc('h3=":443"', `https://two.test:${two.port}`),
    )
    return {
      hosts: ['two.test', 'one.test', 'ws.test'],
      rules: ruleSet(
        `id: two, allow: 'https://two.test:${two.port}', ${LOOPBACK}`,
        `id: one, allow: 'https://one.test:${one.port}', ${LOOPBACK}`,
        `id: ws, allow: 'ws://ws.test:${upgrading.port}', ${LOOPBACK}`,
      ),
    }
  },
  async (cx, t) => {
    cx.track(one)
    cx.track(upgrading)
    try {
      const session = await openHttp2(cx, `two.test:${two.port}`)
      let told = 0
      session.on('altsvc', () => (told += 1))
      const answer = await ask(session, { ':path': '/' })
      t.match(answer, { status: 200, body: 'two' })
      t.notHas(answer.headers, 'alt-svc')
      t.equal(told, 0)
      session.close()
      for (const authority of [`one.test:${one.port}`, `two.test:${two.port}`]) {
        const secure = await cx.secure(authority)
        const text = await new Promise<string>((resolve) => {
          let all = ''
          secure.on('data', (chunk: Buffer) => (all += chunk.toString()))
          secure.on('close', () => resolve(all))
          secure.write(request('GET', '/', authority))
        })
        t.match(text, /^HTTP\/1\.1 200/)
        t.notMatch(text, /alt-svc/i)
      }
      const socket = await cx.connect(`ws.test:${upgrading.port}`)
      const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
      const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
      socket.write(
        `GET / HTTP/1.1\r\nHost: ws.test:${upgrading.port}\r\n${[...upgrade, key].join('\r\n')}\r\n\r\n`,
      )
      const switched = await readHead(socket)
      t.match(switched, /^HTTP\/1\.1 101/)
      t.match(switched, /x-kept: 1/i)
      t.notMatch(switched, /alt-svc/i)
      socket.destroy()
    } finally {
      await two.close()
    }
  },
)
