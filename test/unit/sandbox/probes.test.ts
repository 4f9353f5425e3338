// Proves what the probes read: capabilities, answers that only the sidecar gives, addresses as the kernel writes them.

import { createServer } from 'node:net'

import t from 'tap'

import { judgeStatus } from '../../../src/sandbox/probes/capabilities.ts'
import {
  envelopeTask,
  isOfControl,
  isWhole,
  readAnswer,
  refusalReason,
} from '../../../src/sandbox/probes/http-text.ts'
import { knock } from '../../../src/sandbox/probes/knock.ts'
import { hexAddress4, hexAddress6 } from '../../../src/sandbox/probes/proc-net.ts'

function statusOf(held: string, bounding: string, noNewPrivs: number): string {
  return `CapInh:\t0\nCapPrm:\t${held}\nCapEff:\t${held}\nCapBnd:\t${bounding}\nCapAmb:\t0\nNoNewPrivs:\t${noNewPrivs}\n`
}

void t.test('R45: capabilities that open a way around are told by name', async (t) => {
  const shown = (status: string): string[] =>
    judgeStatus(status).map((one) => `${one.status} ${one.tried}`)
  const none = '0000000000000000'
  const all = '000001ffffffffff'
  t.strictSame(shown(statusOf(none, none, 1)), ['ok capabilities of this process'])
  t.strictSame(shown(statusOf('0000000000003000', none, 1)), [
    'fail the capability CAP_NET_ADMIN',
    'fail the capability CAP_NET_RAW',
  ])
  // Of no use to leave: binding low ports.
  t.strictSame(shown(statusOf('0000000000000400', none, 1)), ['ok capabilities of this process'])
  t.strictSame(shown(statusOf(none, all, 0)), ['warn programs that give capabilities'])
  t.strictSame(shown(statusOf(none, all, 1)), ['ok capabilities of this process'])
  t.strictSame(shown(''), ['warn capabilities of this process'], 'what is not told is not well')
})

void t.test('an answer is the sidecar by what only it says', async (t) => {
  const answer = (head: string, body = ''): NonNullable<ReturnType<typeof readAnswer>> =>
    readAnswer(Buffer.from(`${head}\r\n\r\n${body}`))!
  const refused = answer(
    'HTTP/1.1 403 Sallyport: not-on-allowlist\r\nProxy-Status: sallyport; error=http_request_denied; reason=not-on-allowlist',
  )
  t.equal(refusalReason(refused), 'not-on-allowlist')
  t.equal(refusalReason(answer('HTTP/1.1 403 No\r\nProxy-Status: other; error=x')), undefined)
  t.equal(
    refusalReason(answer('HTTP/1.1 200 OK\r\nProxy-Status: sallyport; reason=x')),
    undefined,
    'what is let through is no refusal',
  )
  const task = '{"id":"t_1","state":"active","intent":"x"}'
  t.equal(envelopeTask(answer('HTTP/1.1 200 OK', task)), 't_1')
  t.equal(envelopeTask(answer('HTTP/1.1 200 OK', '{"id":"t_1"}')), undefined)
  t.equal(envelopeTask(answer('HTTP/1.1 404 No', task)), undefined)
  t.equal(envelopeTask(answer('HTTP/1.1 200 OK', 'null')), undefined)
  const problem = '{"type":"urn:sallyport:reason:principal-unknown","reason":"principal-unknown"}'
  t.ok(isOfControl(answer('HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer', problem)))
  t.ok(isOfControl(answer('HTTP/1.1 200 OK', '{"tasks":[]}')))
  t.notOk(isOfControl(refused))
  t.notOk(
    isOfControl(
      answer(
        'HTTP/1.1 403 No\r\nProxy-Status: sallyport; reason=x',
        '{"type":"urn:sallyport:reason:x","reason":"x"}',
      ),
    ),
  )
})

void t.test('what is no answer, or not all of one, is told apart', async (t) => {
  t.equal(readAnswer(Buffer.from('SSH-2.0-x\r\n')), undefined)
  t.equal(readAnswer(Buffer.alloc(0)), undefined)
  t.equal(readAnswer(Buffer.from('HTTP/1.1 2000 OK\r\n\r\n')), undefined)
  t.notOk(isWhole(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab')))
  t.ok(isWhole(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc')))
  t.notOk(isWhole(Buffer.from('HTTP/1.1 200 OK\r\n\r\nabc')), 'its end is the connection’s')
})

void t.test("the kernel's addresses are read", async (t) => {
  t.equal(hexAddress4('0100007F'), '127.0.0.1')
  t.equal(hexAddress4('nothing'), undefined)
  t.equal(hexAddress6('00000000000000000000000000000001'), '::1')
  t.equal(hexAddress6('20010db8000000000000000000000001'), '2001:db8::1')
  t.equal(hexAddress6('1'), undefined)
})

void t.test('a knock is bounded, whatever the peer does', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    const more = setInterval(() => socket.write('x'.repeat(16 * 1024)), 1)
    socket.on('close', () => clearInterval(more))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' ? (bound?.port ?? 0) : 0
  const endless = await knock({ host: '127.0.0.1', port })
  t.equal(endless.kind, 'accepted')
  t.ok(endless.kind === 'accepted' && endless.bytes.length < 256 * 1024, 'an endless answer is cut')
  const closed = new Promise((resolve) => server.close(resolve))
  await closed
  t.match(await knock({ host: '127.0.0.1', port }), { kind: 'failed', code: 'ECONNREFUSED' })
  t.match(await knock({ path: '/nowhere/at/all' }), { kind: 'failed', code: 'ENOENT' })
})
