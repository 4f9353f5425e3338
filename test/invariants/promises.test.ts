// The invariants of ARCHITECTURE.md as somebody outside can see them, each at one place. I7 is test/e2e/limits.test.ts.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { TLSSocket } from 'node:tls'

import t from 'tap'

import {
  exchange,
  readHead,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
} from '../fixtures/scenario.ts'
import { startHttp, startTcp, type Upstream } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const SECRET = 'canary-of-the-invariants-3b7e'

void t.test('invariants', async (t) => {
  // What each upstream was sent, whole, and what it was told of itself in the handshake.
  const serverNames: unknown[] = []
  let journal = ''
  const onRecord: boolean[] = []
  const secure = await startSecure(['up.test', 'own.test'], ({ headers }) => {
    const id = String(headers['x-id'] ?? '')
    if (id !== '') onRecord.push(readFileSync(journal, 'utf8').includes(`/${id}`))
    return { body: 'ok' }
  })
  secure.server.on('secureConnection', (socket: TLSSocket) => serverNames.push(socket.servername))
  const plain = await startHttp({ handler: () => ({ body: 'ok' }) })
  const bytes: Buffer[] = []
  const opaque = await startTcp((socket) => socket.on('data', (chunk: Buffer) => bytes.push(chunk)))
  const all: Upstream[] = [secure, plain, opaque]
  t.teardown(() => Promise.all(all.map((one) => one.close())))
  const host = {
    secure: `up.test:${secure.port}`,
    own: `own.test:${secure.port}`,
    plain: `up.test:${plain.port}`,
    opaque: `opaque.test:${opaque.port}`,
  }
  const { set = '' } = ruleSet(
    `id: secure, allow: ['https://${host.secure}', 'http://${host.plain}'], methods: [GET, POST], paths: ['/ok/**', '/v/{name}'], ${LOOPBACK}`,
    `id: own, allow: 'https://${host.own}', paths: ['/with/**'], credential: own, ${LOOPBACK}`,
    `id: opaque, allow: 'tcp://${host.opaque}', ${LOOPBACK}`,
    `id: bare, allow: 'https://bare.test:${secure.port}'`,
    `id: no, deny: 'https://up.test', paths: ['/ok/no/**']`,
  )
  const options = {
    hosts: ['up.test', 'own.test', 'opaque.test', 'bare.test'],
    config: `credentials:\n  own: { source: { env: OWN }, inject: { bearer: true }, hosts: ['${host.own}'] }\n`,
    secrets: { OWN: SECRET },
    rules: { set: set.replace('rules:', "params:\n  name: { pattern: '[a-z]+' }\nrules:") },
    params: { name: 'seven' },
  }
  const dials = (): number => all.reduce((sum, one) => sum + one.connections(), 0)

  scenario(
    t,
    'I1: nothing is dialed for a call that is refused, wherever it is refused',
    options,
    async (cx, t) => {
      const placeholder = cx.env()['OWN_TOKEN']!
      const before = dials()
      const refused: [string, string | Promise<string>][] = [
        ['malformed-request-line', cx.raw('nonsense\r\n\r\n')],
        [
          'malformed-header',
          cx.raw(`GET http://${host.plain}/ok/ HTTP/1.1\r\nHost: ${host.plain}\r\nA : b\r\n\r\n`),
        ],
        ['malformed-path', cx.raw(request('GET', `http://${host.plain}/ok/%2e%2e/x`, host.plain))],
        ['authority-mismatch', cx.raw(request('GET', `http://${host.plain}/ok/x`, 'other.test'))],
        ['not-on-allowlist', cx.raw(request('GET', 'http://other.test/', 'other.test'))],
        [
          'method-not-allowed',
          cx.raw(request('PUT', `http://${host.plain}/ok/x`, host.plain, { body: 'x' })),
        ],
        ['path-not-allowed', cx.raw(request('GET', `http://${host.plain}/else`, host.plain))],
        ['denied-by-rule', cx.raw(request('GET', `https://${host.secure}/ok/no/x`, host.secure))],
        [
          'placeholder-misused',
          cx.raw(request('GET', `http://${host.plain}/ok/${placeholder}`, host.plain)),
        ],
        [
          'resolved-address-denied',
          cx.raw(request('GET', `https://bare.test:${secure.port}/`, `bare.test:${secure.port}`)),
        ],
        [
          'ip-not-on-allowlist',
          cx.raw(
            `CONNECT 127.0.0.1:${secure.port} HTTP/1.1\r\nHost: 127.0.0.1:${secure.port}\r\n\r\n`,
          ),
        ],
        [
          'protocol-not-allowed',
          cx
            .connect(host.secure)
            .then((socket) => exchange(socket, request('GET', '/ok/x', host.secure))),
        ],
        [
          'path-not-allowed',
          cx
            .secure(host.secure)
            .then((socket) => exchange(socket, request('GET', '/else', host.secure))),
        ],
      ]
      for (const [reason, answer] of refused)
        t.match(await answer, new RegExp(`Sallyport: ${reason}`))
      t.equal(dials(), before)
      t.match(
        await cx.raw(request('GET', `http://${host.plain}/ok/x`, host.plain)),
        /^HTTP\/1\.1 200/,
      )
      t.equal(dials(), before + 1, 'and one for the call that is allowed')
    },
  )

  scenario(
    t,
    'I2: however it is spelt, the name that was decided is verified, asked for, and written down',
    options,
    async (cx, t) => {
      const { port } = secure
      for (const spelt of [
        `up.test:${port}`,
        `UP.TEST:${port}`,
        `up.test.:${port}`,
        `Up.Test.:${port}`,
      ]) {
        t.match(
          await cx.raw(request('GET', `https://${spelt}/ok/x`, spelt)),
          /^HTTP\/1\.1 200/,
          spelt,
        )
        const tunnel = await cx.secure(spelt, 'up.test')
        t.match(
          await exchange(tunnel, request('GET', '/ok/x', spelt)),
          /^HTTP\/1\.1 200/,
          `${spelt} in a tunnel`,
        )
      }
      t.strictSame([...new Set(serverNames)], ['up.test'])
      const hosts = secure.seen.map(
        ({ rawHeaders }) => rawHeaders[rawHeaders.findIndex((name) => /^host$/i.test(name)) + 1],
      )
      t.strictSame([...new Set(hosts)], [host.secure])
      await until(
        () =>
          cx.terminal().filter(({ sallyport }) => sallyport.call?.kind !== 'tunnel').length === 8,
        'all are on record',
      )
      for (const { destination, url } of cx.terminal())
        t.match([destination?.domain, url?.domain, destination?.port], ['up.test', 'up.test', port])
      t.match(cx.terminal()[0], { destination: { ip: '127.0.0.1' } })
    },
  )

  scenario(
    t,
    'I3: a secret is sent to its hosts and to nobody else, whatever the sandbox asks for',
    options,
    async (cx, t) => {
      const placeholder = cx.env()['OWN_TOKEN']!
      const from = all.map(({ seen }) => seen.length)
      const attempts = [
        ['GET', '/ok/x', []],
        ['POST', '/ok/x', []],
        ['GET', '/ok/x', [`Authorization: Bearer ${placeholder}`]],
        ['POST', '/ok/x', ['Authorization: Bearer {}', 'X-Forwarded-Host: own.test']],
        ['GET', '/ok/x', [`Referer: https://${host.own}/with/x`, `Origin: https://${host.own}`]],
      ] as const
      for (const [method, target, headers] of attempts) {
        const more = { headers, ...(method === 'POST' && { body: placeholder }) }
        await cx.raw(request(method, `http://${host.plain}${target}`, host.plain, more))
        await exchange(await cx.secure(host.secure), request(method, target, host.secure, more))
      }
      const tunnel = await cx.connect(host.opaque)
      await exchange(tunnel, `Authorization: Bearer ${placeholder}\r\n`, 200)
      t.match(
        await exchange(await cx.secure(host.own), request('GET', '/with/x', host.own)),
        /^HTTP\/1\.1 200/,
      )
      t.match(
        await cx.raw(request('GET', `https://${host.own}/with/x`, host.own)),
        /^HTTP\/1\.1 200/,
      )
      const sent = all.flatMap(({ seen }, at) => seen.slice(from[at]))
      const holders = sent.filter((one) =>
        `${JSON.stringify(one.rawHeaders)}${one.url}${one.body.toString('latin1')}`.includes(
          SECRET,
        ),
      )
      t.strictSame(
        holders.map(({ rawHeaders }) => rawHeaders[1]),
        [host.own, host.own],
      )
      t.ok(sent.length >= 9, 'the others did arrive')
      t.notOk(Buffer.concat(bytes).includes(SECRET))
      t.ok(
        Buffer.concat(bytes).includes(placeholder),
        'a placeholder in an opaque tunnel is worthless, and stays one',
      )
    },
  )

  scenario(
    t,
    'I4: an allowed call is in the journal’s file before its first byte reaches the upstream',
    options,
    async (cx, t) => {
      journal = path.join(cx.directory, 'journal/0000000001.ndjson')
      const ids = Array.from({ length: 24 }, (_, at) => `id${at}x`)
      await Promise.all(
        ids.map((id) =>
          cx.raw(
            request('POST', `https://${host.secure}/ok/${id}`, host.secure, {
              headers: [`X-Id: ${id}`],
              body: 'a'.repeat(100),
            }),
          ),
        ),
      )
      t.strictSame(
        onRecord,
        ids.map(() => true),
      )
      await until(
        () => cx.terminal().filter(({ event }) => event.reason === 'allowed').length === ids.length,
        'every call is on record',
      )
    },
  )

  scenario(
    t,
    'I8: a request is judged the same alone, behind others, and in a tunnel',
    options,
    async (cx, t) => {
      const statusesOf = (answer: string): string[] =>
        [...answer.matchAll(/HTTP\/1\.1 (\d{3} [^\r]*)/g)].map(([, line]) => line!)
      const calls: [string, string, string[]][] = [
        ['GET', '/ok/x', []],
        ['GET', '/else', []],
        ['GET', '/v/seven', []],
        ['GET', '/v/eight', []],
        ['GET', '/ok/no/x', []],
        ['GET', '/OK/NO/x', []],
        ['GET', '/ok/%2e%2e/x', []],
        ['GET', '/ok/a%2Fb', []],
        ['GET', '/ok//x', []],
        ['PUT', '/ok/x', []],
        ['POST', '/ok/x?a=b', []],
        ['GET', `/ok/${cx.env()['OWN_TOKEN']}`, []],
        ['GET', '/ok/x', [`X-A: ${cx.env()['OWN_TOKEN']}`]],
      ]
      const alone: string[] = []
      for (const [method, target, headers] of calls)
        alone.push(
          ...statusesOf(
            await cx.raw(
              request(method, `https://${host.secure}${target}`, host.secure, { headers }),
            ),
          ),
        )
      t.equal(alone.length, calls.length)
      t.ok(alone.includes('200 OK') && alone.some((line) => line.startsWith('403')))
      const inside: string[] = []
      for (const [method, target, headers] of calls)
        inside.push(
          ...statusesOf(
            await exchange(
              await cx.secure(host.secure),
              request(method, target, host.secure, { headers }),
            ),
          ),
        )
      t.strictSame(inside, alone, 'each in a tunnel of its own')
      const kept = await cx.secure(host.secure)
      const inOne: string[] = []
      for (const [method, target, headers] of calls) {
        kept.write(request(method, target, host.secure, { headers, keep: true }))
        const head = await readHead(kept)
        inOne.push(...statusesOf(head))
        await drain(kept, head)
      }
      kept.destroy()
      t.strictSame(inOne, alone, 'all in one tunnel, one after the other')
      await until(
        () =>
          cx.terminal().filter(({ sallyport }) => sallyport.call?.kind === 'intercepted').length ===
          2 * calls.length,
        'all are on record',
      )
      const reasons = (kind: string): string[] =>
        cx
          .terminal()
          .filter(({ sallyport }) => sallyport.call?.kind === kind)
          .map(({ event }) => event.reason)
      t.strictSame(reasons('intercepted'), [...reasons('forward'), ...reasons('forward')])
    },
  )
})

/** Takes the body that a head announces off the socket. */
async function drain(socket: TLSSocket, head: string): Promise<void> {
  const length = /content-length: (\d+)/i.exec(head)?.[1]
  const chunked = /transfer-encoding: chunked/i.test(head)
  let text = ''
  const whole = (): boolean =>
    chunked ? text.endsWith('0\r\n\r\n') : Buffer.byteLength(text, 'latin1') >= Number(length ?? 0)
  const take = (chunk: Buffer): void => {
    text += chunk.toString('latin1')
  }
  socket.on('data', take)
  socket.resume()
  await until(whole, 'a body is whole')
  socket.off('data', take)
  socket.pause()
}
