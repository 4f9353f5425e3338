// What a hostile client or server may do to have an MCP message read as one thing here and as another on the other side: raw
// bytes through the real program, each next to a twin that passes. Nothing that is refused reaches the server, and nothing that
// is withheld reaches the client.

import { readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { gunzipSync, gzipSync } from 'node:zlib'

import { isJSONRPCErrorResponse } from '@modelcontextprotocol/client'
import { JSONRPCErrorResponseSchema } from '@modelcontextprotocol/sdk/types.js'
import t from 'tap'

import { ALLOWED_CALL, callOf, EVASIONS, FORBIDDEN_CALL } from '../fixtures/mcp-evasions.ts'
import { exchange, request, ruleSet, scenario, type Scenario } from '../fixtures/scenario.ts'
import { startHttp, type Handler } from '../fixtures/upstreams.ts'

const MIB = 2 ** 20
const HUGE_BYTES = 100 * MIB
const HEADER_MISMATCH = -32_020
const REFUSED = -32_050
const PATIENCE_MS = 10_000
const JSON_TYPE = 'Content-Type: application/json'
const ACCEPT = 'Accept: application/json, text/event-stream'
const REVISION = '2026-07-28'

/** Answers as the server that the test at hand needs. */
let answering: Handler | undefined
const server = await startHttp({
  handler: (...given) =>
    answering?.(...given) ?? {
      headers: ['Content-Type', 'application/json'],
      body: '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"it ran"}]}}',
    },
})
t.teardown(() => server.close())
const host = `mcp.test:${server.port}`
const url = `http://${host}/mcp`
const options = {
  hosts: ['mcp.test'],
  rules: ruleSet(
    `id: mcp, allow: '${url}', tools: [list_*, get_issue], addresses: [127.0.0.0/8]`,
    `id: other, allow: 'http://${host}', paths: [/elsewhere], methods: [GET], addresses: [127.0.0.0/8]`,
  ),
}

/** A request with exactly this body. */
function post(body: string | Buffer, headers: readonly string[] = [], method = 'POST'): Buffer {
  const bytes = Buffer.from(body)
  const typed = headers.some((one) => /^(?:content-type|x-title):/i.test(one)) ? [] : [JSON_TYPE]
  const head = request(method, url, host, {
    headers: [...typed, ACCEPT, ...headers, `Content-Length: ${bytes.length}`],
  })
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes])
}

const send = (cx: Scenario, ...given: Parameters<typeof post>): Promise<string> =>
  cx.raw(post(...given), PATIENCE_MS)

/** The body of an answer as it came, whatever its framing. */
function bodyOf(answer: string): Buffer {
  const end = answer.indexOf('\r\n\r\n') + 4
  const [head, raw] = [answer.slice(0, end), Buffer.from(answer.slice(end), 'latin1')]
  const body = /transfer-encoding: *chunked/i.test(head) ? dechunk(raw) : raw
  return /content-encoding: *gzip/i.test(head) ? gunzipSync(body) : body
}

function dechunk(raw: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const line = raw.indexOf('\r\n', at)
    const size = line < 0 ? 0 : Number.parseInt(raw.toString('latin1', at, line), 16)
    if (!(size > 0)) return Buffer.concat(parts)
    parts.push(raw.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}

const peakOf = (cx: Scenario): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${cx.pid()}/status`, 'utf8'))?.[1]) * 1024

scenario(
  t,
  'R38: a message that is spelled, doubled, shaped, coded or packed to be misread does not reach the server; its twin does',
  options,
  async (cx, t) => {
    for (const { title, body, headers, method, reason, twin = ALLOWED_CALL } of EVASIONS) {
      const before = server.seen.length
      const answer = await send(cx, body, headers, method)
      t.match(answer, reason, title)
      t.notMatch(answer, /it ran/, title)
      t.equal(server.seen.length, before, `${title}: the server has seen nothing`)
      t.match(await send(cx, twin), /it ran/, `the twin of ${title}`)
      t.strictSame(server.seen.at(-1)?.body, Buffer.from(twin), 'arrives as it was sent')
    }
  },
)

scenario(
  t,
  'R38: a refusal is a JSON-RPC error by the specification’s own schema, with the caller’s id, in well-formed HTTP',
  options,
  async (cx, t) => {
    for (const id of ['7', '"a-b"', '0', '"\\u00e9"']) {
      const answer = await send(cx, FORBIDDEN_CALL.replace('"id":1', `"id":${id}`))
      t.match(answer, /^HTTP\/1\.1 200 /)
      t.match(answer, /\r\nContent-Type: application\/json\r\n/i)
      const error: unknown = JSON.parse(bodyOf(answer).toString())
      t.ok(isJSONRPCErrorResponse(error), 'to the SDK of the stateless revision')
      t.match(JSONRPCErrorResponseSchema.safeParse(error), { success: true }, 'and to the older')
      t.match(error, {
        jsonrpc: '2.0',
        id: JSON.parse(id),
        error: { code: REFUSED, message: /^Sallyport: tool-not-allowed/ },
      })
      t.notMatch(JSON.stringify(error), /list_|get_issue|ruleset/, 'and tells nothing of the rules')
    }
    await cx.message(({ event }) => event.reason === 'tool-not-allowed')
  },
)

scenario(
  t,
  'a batch is judged message by message; what is forbidden in it does not reach the server',
  options,
  async (cx, t) => {
    const second = ALLOWED_CALL.replace('"id":1', '"id":2')
    for (const batch of [
      `[${ALLOWED_CALL},${FORBIDDEN_CALL.replace('"id":1', '"id":2')}]`,
      `[${FORBIDDEN_CALL},${second}]`,
    ]) {
      const from = server.seen.length
      const answer = await send(cx, batch)
      t.match(answer, /tool-not-allowed|malformed-body/)
      for (const { body } of server.seen.slice(from)) t.notMatch(body.toString(), /delete_issue/)
    }
    t.match(await send(cx, ALLOWED_CALL), /it ran/)
  },
)

scenario(
  t,
  'sent chunked, one byte at a time, a call is judged as one that comes whole',
  options,
  async (cx, t) => {
    const trickle = async (body: string): Promise<string> => {
      const socket = net.connect({ port: cx.proxyPort, host: '127.0.0.1', noDelay: true })
      const head = request('POST', url, host, {
        headers: [JSON_TYPE, ACCEPT, 'Transfer-Encoding: chunked'],
      })
      const answer = exchange(socket, head, PATIENCE_MS)
      for (const byte of body) {
        if (socket.destroyed) break
        for (const part of ['1', '\r', '\n', byte, '\r\n']) {
          socket.write(part)
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      if (!socket.destroyed) socket.write('0\r\n\r\n')
      return answer
    }
    const before = server.seen.length
    t.match(await trickle(FORBIDDEN_CALL), /tool-not-allowed/)
    t.equal(server.seen.length, before)
    t.match(await trickle(ALLOWED_CALL), /it ran/)
    t.equal(server.seen.at(-1)?.body.toString(), ALLOWED_CALL)
  },
)

scenario(
  t,
  'a hundred megabytes of arguments are refused without being held, however they are sent',
  options,
  async (cx, t) => {
    t.match(await send(cx, ALLOWED_CALL), /it ran/)
    const seen = server.seen.length
    writeFileSync(`/proc/${cx.pid()}/clear_refs`, '5')
    const before = peakOf(cx)
    const start = callOf('get_issue').replace('PAY-1"}}}', '')
    const declared = request('POST', url, host, {
      headers: [JSON_TYPE, ACCEPT, `Content-Length: ${start.length + HUGE_BYTES}`],
    })
    const chunked = request('POST', url, host, {
      headers: [JSON_TYPE, ACCEPT, 'Transfer-Encoding: chunked'],
    })
    t.match(await flood(cx, declared + start, (piece) => piece), /body-too-large/)
    const asChunk = (piece: string): string => `${piece.length.toString(16)}\r\n${piece}\r\n`
    t.match(await flood(cx, chunked + asChunk(start), asChunk), /body-too-large/)
    t.equal(server.seen.length, seen, 'the server has seen nothing')
    t.ok(peakOf(cx) - before < 64 * MIB, `${(peakOf(cx) - before) / MIB} MiB were held`)
    t.match(await send(cx, ALLOWED_CALL), /it ran/)
    await cx.record(({ event }) => event.reason === 'body-too-large')
  },
)

/** Sends so many bytes as the proxy takes, and gives what it answered. */
function flood(cx: Scenario, head: string, frame: (piece: string) => string): Promise<string> {
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  const answer = exchange(socket, head, PATIENCE_MS)
  const piece = frame('x'.repeat(MIB))
  let left = HUGE_BYTES / MIB
  const write = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= 1
      if (!socket.write(piece)) return
    }
  }
  socket.on('drain', write)
  write()
  return answer
}

const META = `"_meta":{"io.modelcontextprotocol/protocolVersion":"${REVISION}","io.modelcontextprotocol/clientInfo":{"name":"e2e","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
const modern = (name: string): string => callOf(name, `,${META}`)
const mirrored = (method: string, name: string, revision = REVISION): string[] => [
  `MCP-Protocol-Version: ${revision}`,
  `Mcp-Method: ${method}`,
  `Mcp-Name: ${name}`,
]

scenario(
  t,
  'R38: headers that do not agree with the message are refused, whichever of the two is harmless',
  options,
  async (cx, t) => {
    const allowed = modern('get_issue')
    for (const [title, headers, body] of [
      ['another method', mirrored('tools/list', 'get_issue'), allowed],
      ['another name', mirrored('tools/call', 'list_issues'), allowed],
      [
        'an allowed name for a forbidden one',
        mirrored('tools/call', 'get_issue'),
        modern('delete_issue'),
      ],
      ['a forbidden name for an allowed one', mirrored('tools/call', 'delete_issue'), allowed],
      ['another revision', mirrored('tools/call', 'get_issue', '2025-11-25'), allowed],
      ['no method', mirrored('x', 'get_issue').toSpliced(1, 1), allowed],
      ['no name', mirrored('tools/call', 'x').slice(0, 2), allowed],
      ['two names', [...mirrored('tools/call', 'get_issue'), 'Mcp-Name: delete_issue'], allowed],
      ['two methods', [...mirrored('tools/call', 'get_issue'), 'Mcp-Method: ping'], allowed],
      ['a name in capitals', mirrored('tools/call', 'GET_ISSUE'), allowed],
    ] as const) {
      const before = server.seen.length
      const answer = await send(cx, body, headers)
      t.match(answer, /^HTTP\/1\.1 400 /, title)
      t.match(answer, /mcp-header-mismatch|malformed-header/, title)
      if (answer.includes('mcp-header-mismatch'))
        t.match(JSON.parse(bodyOf(answer).toString()), { error: { code: HEADER_MISMATCH } }, title)
      t.equal(server.seen.length, before, title)
    }
    t.match(await send(cx, allowed, mirrored('tools/call', 'get_issue')), /it ran/)
    const forbidden = await send(cx, modern('delete_issue'), mirrored('tools/call', 'delete_issue'))
    t.match(forbidden, /tool-not-allowed/)
    await cx.record(({ event }) => event.reason === 'mcp-header-mismatch')
  },
)

scenario(
  t,
  'R83: two different hidden rules refuse a tool alike, and tell nothing of themselves',
  {
    ...options,
    rules: ruleSet(
      `id: mcp, allow: '${url}', tools: ['*'], addresses: [127.0.0.0/8]`,
      `id: hidden-one, deny: '${url}', tools: [delete_*]`,
      `id: hidden-two, deny: '${url}', tools: ['*_secret', purge]`,
    ),
  },
  async (cx, t) => {
    const shape = async (tool: string): Promise<string> => {
      const answer = await send(cx, callOf(tool))
      t.match(answer, /denied-by-rule/, tool)
      t.notMatch(answer, /hidden|delete_|secret|purge|ruleset/, tool)
      return answer.replaceAll(/"[0-9A-HJKMNP-TV-Z]{26}"/g, '"id"').replace(/^Date: .*$/m, '')
    }
    const shapes = new Set([
      await shape('delete_issue'),
      await shape('read_secret'),
      await shape('purge'),
    ])
    t.equal(shapes.size, 1, [...shapes].join('\n'))
    t.match(await send(cx, callOf('get_issue')), /it ran/)
  },
)

const TOOL = (name: string): string =>
  `{"name":"${name}","description":"d","inputSchema":{"type":"object"}}`
const LIST = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`
const TOOLS = `{"jsonrpc":"2.0","id":1,"result":{"tools":[${TOOL('get_issue')},${TOOL('delete_issue')}]}}`
const event = (data: string): string => `event: message\ndata: ${data}\n\n`
const SSE = ['Content-Type', 'text/event-stream']
const PLAIN = ['Content-Type', 'application/json']

/** Answers to a request for the list; where `seen`, the client sees what it may of it. */
const ANSWERS: readonly {
  readonly title: string
  readonly headers: string[]
  readonly body: string | Buffer
  readonly isShown?: true
}[] = [
  { title: 'JSON', headers: PLAIN, body: TOOLS, isShown: true },
  { title: 'an event', headers: SSE, body: event(TOOLS), isShown: true },
  {
    title: 'an event in two lines of data',
    headers: SSE,
    body: `data: ${TOOLS.replace(',"result"', '\ndata: ,"result"')}\n\n`,
    isShown: true,
  },
  { title: 'lines that end in CR', headers: SSE, body: `data: ${TOOLS}\r\r`, isShown: true },
  { title: 'lines that end in CR LF', headers: SSE, body: `data: ${TOOLS}\r\n\r\n`, isShown: true },
  { title: 'data without a blank', headers: SSE, body: `data:${TOOLS}\n\n`, isShown: true },
  { title: 'a BOM before the events', headers: SSE, body: `\uFEFF${event(TOOLS)}` },
  { title: 'comments between', headers: SSE, body: `: x\n${event(TOOLS)}: y\n\n`, isShown: true },
  {
    title: 'an event of another name',
    headers: SSE,
    body: event(TOOLS).replace('message', 'other'),
  },
  { title: 'an event that does not end', headers: SSE, body: `data: ${TOOLS}\n` },
  {
    title: 'the list twice in one result',
    headers: PLAIN,
    body: TOOLS.replace('"tools"', '"tools":[],"tools"'),
  },
  {
    title: 'the list twice, spelled apart',
    headers: PLAIN,
    body: TOOLS.replace('"tools"', '"tools":[],"\\u0074ools"'),
  },
  {
    title: 'the list twice but for case',
    headers: PLAIN,
    body: TOOLS.replace('"tools"', '"tools":[],"Tools"'),
  },
  {
    title: 'the result of another request',
    headers: PLAIN,
    body: TOOLS.replace('"id":1', '"id":9'),
  },
  { title: 'a list in a list', headers: PLAIN, body: `[[${TOOLS}]]` },
  { title: 'a batch', headers: PLAIN, body: `[${TOOLS}]` },
  { title: 'a BOM', headers: PLAIN, body: `\uFEFF${TOOLS}` },
  {
    title: 'UTF-16',
    headers: ['Content-Type', 'application/json; charset=utf-16'],
    body: Buffer.from(TOOLS, 'utf16le'),
  },
  { title: 'text', headers: ['Content-Type', 'text/plain'], body: TOOLS },
  { title: 'HTML', headers: ['Content-Type', 'text/html'], body: TOOLS },
  { title: 'no type', headers: [], body: TOOLS },
  { title: 'gzip', headers: [...PLAIN, 'Content-Encoding', 'gzip'], body: gzipSync(TOOLS) },
  { title: 'gzip that nobody names', headers: PLAIN, body: gzipSync(TOOLS) },
  {
    title: 'a name in escapes',
    headers: PLAIN,
    body: TOOLS.replace('delete_issue', 'delete\\u005fissue'),
    isShown: true,
  },
]

scenario(
  t,
  'R39: however a server answers with its list, the client sees nothing of a tool that it may not call',
  options,
  async (cx, t) => {
    for (const { title, headers, body, isShown } of ANSWERS) {
      answering = () => ({ headers, body })
      const answer = await send(cx, LIST)
      const shown = bodyOf(answer)
      for (const text of [shown.toString(), shown.toString('utf16le'), answer])
        t.notMatch(text, /delete(?:_|\\u005f)issue/, title)
      if (shown[0] === 0x1f) t.notMatch(gunzipSync(shown).toString(), /delete_issue/, title)
      if (isShown) t.match(shown.toString(), /get_issue/, `${title}: what it may call it sees`)
    }
    answering = undefined
    t.match(await send(cx, ALLOWED_CALL), /it ran/)
  },
)
