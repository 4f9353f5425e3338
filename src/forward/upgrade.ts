// WebSocket upgrades through http-proxy's `ws()`, the one place it is used, inside the guards it lacks: every socket has
// an error listener before it starts, the connection is ours (checked and verified by `net/dial.ts`), the head is the one
// `inject/` wrote, an answer that is no upgrade is framed by us, and the two sockets die together.
// http-proxy is loaded by the first upgrade. Called by `pipeline.ts`; deliberately never `web()`, which lets a request
// smuggle another.

import { createHash } from 'node:crypto'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type httpProxy from 'http-proxy'

import type { Call, Prepared } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { resetSocket } from '../net/reset.ts'
import type { RawHeaders } from '../wire/body.ts'
import { firstValue, responseFraming } from '../wire/headers.ts'
import { ScrubbedSocket } from './scrubbed-socket.ts'
import { takes } from './takes.ts'
import { passAnswer, type UpgradeScrub } from './upgrade-answer.ts'

/** One upgrade to carry out. */
export interface UpgradeOptions {
  readonly client: Socket
  /** Bytes the client sent behind its head. */
  readonly head: Buffer
  /** The dialed connection, TLS done. */
  readonly upstream: Socket
  readonly responseTimeoutMs: number
  readonly onStatus: (status: number) => void
  /** Looks through what comes back; absent: nobody does. */
  readonly scrub?: UpgradeScrub | undefined
}

const require = createRequire(import.meta.url)
// An import would read every export, and node answers some of those by loading a whole HTTP client.
const http = process.getBuiltinModule('node:http')

const NOTHING = Buffer.alloc(0)
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

class DialedAgent extends http.Agent {
  readonly #socket: Socket
  constructor(socket: Socket) {
    super({ keepAlive: false })
    this.#socket = socket
  }
  override createConnection(): Duplex {
    return this.#socket
  }
}

/**
 * Upgrades and relays until both sides are done; resolves with how it ended.
 * @throws EgressError upgrade-failed, response-timeout, response-malformed while nothing has been sent to the client
 */
export function relayUpgrade(call: Call & Prepared, options: UpgradeOptions): Promise<Reason> {
  const { client, upstream } = options
  // Synchronous: while it was awaited, a socket could end or fail unheard.
  const library: typeof httpProxy = require('http-proxy')
  const proxy = library.createProxyServer({})
  return new Promise<Reason>((resolve, reject) => {
    let state: 'waiting' | 'answered' | 'upgraded' = 'waiting'
    let over = false
    let isHeadSent = false
    let joined: Duplex = upstream
    const finish = (reason: Reason): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      proxy.removeAllListeners()
      upstream.destroy()
      const ended = call.cutReason ?? reason
      if (isHeadSent || ended === 'client-gone') {
        // It has no length: a close would look like its end.
        if (state === 'answered' && ended !== 'allowed') resetSocket(client)
        else client.destroy()
        resolve(ended)
      } else reject(new EgressError(ended))
    }
    const begin = (as: 'answered' | 'upgraded', status: number): void => {
      state = as
      clearTimeout(timer)
      options.onStatus(status)
    }
    const timer = setTimeout(() => finish('response-timeout'), options.responseTimeoutMs)
    client.on('error', () => finish('client-gone'))
    client.on('close', () => finish(state === 'upgraded' ? 'allowed' : 'client-gone'))
    // An answer that breaks off says so by its own body.
    upstream.on('error', () => {
      if (state !== 'answered') finish(state === 'upgraded' ? 'upstream-gone' : 'upgrade-failed')
    })
    upstream.on('close', () => {
      if (state === 'upgraded') endAfterLastByte(client, joined, () => finish('allowed'))
      else if (state === 'waiting') finish('upgrade-failed')
    })
    call.onCut(() => {
      resetSocket(upstream)
      finish('internal')
    })
    proxy.on('error', () => finish(state === 'waiting' ? 'upgrade-failed' : 'upstream-gone'))
    const outgoing = sendUpgrade(call, options, proxy)
    const onJoined = (socket: Duplex): void => {
      begin('upgraded', 101)
      isHeadSent = true
      joined = socket
      countBytes(call, client, upstream, joined)
    }
    const refuse = (): void => finish('upgrade-failed')
    if (outgoing) joinWhere(outgoing, call, options, onJoined, refuse)
    // What http-proxy does in these two cases ends the client's side: unchunked bytes under a chunked head, no answer at all.
    outgoing?.removeAllListeners('error').on('error', (error) => {
      if (state !== 'answered') finish(nameFailure(error, state === 'upgraded'))
    })
    outgoing?.removeAllListeners('response').once('response', (response) => {
      const onBegin = (status: number): void => begin('answered', status)
      const onHead = (): void => {
        isHeadSent = true
      }
      void relayAnswer(call, response, options, { onBegin, onHead }).then(finish)
    })
  })
}

async function relayAnswer(
  call: Call,
  response: IncomingMessage,
  { client, scrub }: UpgradeOptions,
  { onBegin, onHead }: { onBegin: (status: number) => void; onHead: () => void },
): Promise<Reason> {
  const status = response.statusCode ?? 0
  try {
    responseFraming(response.rawHeaders, status, 'GET', response.httpVersion)
  } catch {
    return 'response-malformed'
  }
  onBegin(status)
  const count = (bytes: number): void => {
    if (takes(call, () => call.charge?.takeIn(bytes))) call.bytesIn += bytes
  }
  try {
    await passAnswer(response, client, { count, onHead, scrub })
    return 'allowed'
  } catch (error) {
    return error instanceof EgressError ? error.reason : 'upstream-gone'
  }
}

// Lets http-proxy join the two where the answer is the one that was asked for; it would look at nothing.
function joinWhere(
  outgoing: ClientRequest,
  call: Call & Prepared,
  options: UpgradeOptions,
  onJoined: (socket: Duplex) => void,
  onRefused: () => void,
): void {
  const [join] = outgoing.listeners('upgrade')
  outgoing.removeAllListeners('upgrade').once('upgrade', (response, socket, head) => {
    // What a listener throws would end the process.
    try {
      if (acceptsUpgrade(response, call)) pass(response, socket, head)
      else onRefused()
    } catch {
      onRefused()
    }
  })
  const pass = (response: IncomingMessage, socket: Socket, head: Buffer): void => {
    const { upstream, scrub } = options
    // http-proxy writes the fields to the client as they are.
    delete response.headers['alt-svc']
    if (scrub === undefined) {
      // A listener of ours before that would take the first bytes away.
      join?.call(outgoing, response, socket, head)
      onJoined(upstream)
      return
    }
    Object.assign(response, { headers: scrubHead(response.headers, scrub) })
    if (head.length > 0) upstream.unshift(head)
    const scrubbed = new ScrubbedSocket(upstream, (bytes) => {
      let out: Uint8Array | undefined
      takes(call, () => {
        out = scrub.frames(bytes)
      })
      return out
    })
    join?.call(outgoing, response, scrubbed, NOTHING)
    onJoined(scrubbed)
    scrubbed.begin()
  }
}

// As http-proxy writes it: each name with all its values.
function scrubHead(headers: IncomingHttpHeaders, scrub: UpgradeScrub): NodeJS.Dict<string[]> {
  const flat = Object.entries(headers).flatMap(([name, value = '']) =>
    [value].flat().flatMap((one) => [name, one]),
  )
  // Without a prototype: an upstream may name a field `constructor`.
  const scrubbed: NodeJS.Dict<string[]> = Object.create(null)
  const fields = scrub.fields(flat)
  for (let at = 0; at < fields.length; at += 2) (scrubbed[fields[at]!] ??= []).push(fields[at + 1]!)
  return scrubbed
}

// RFC 6455 section 4.1: whoever does not know the key has not read the handshake; a cache, another protocol's server.
function acceptsUpgrade({ headers }: IncomingMessage, { outgoing }: Prepared): boolean {
  const digest = createHash('sha1').update(
    `${firstValue(outgoing.headers, 'sec-websocket-key') ?? ''}${GUID}`,
  )
  return (
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-accept'] === digest.digest('base64')
  )
}

// Synchronous: when it returns, http-proxy has its listeners on the request and nothing has happened on it yet.
function sendUpgrade(
  call: Call & Prepared,
  { client, head, upstream }: UpgradeOptions,
  proxy: httpProxy,
): ClientRequest | undefined {
  let outgoing: ClientRequest | undefined
  proxy.once('proxyReqWs', (made) => {
    outgoing = made
    writeHead(made, call)
  })
  // http-proxy reads what it forwards from a request of node's.
  const request = new http.IncomingMessage(client)
  request.method = 'GET'
  request.url = call.outgoing.path
  request.headers = toObject(call.outgoing.headers)
  proxy.ws(request, client, head, {
    target: { protocol: 'http:', host: 'upstream.invalid', port: '80' },
    agent: new DialedAgent(upstream),
    prependPath: false,
    ignorePath: true,
    xfwd: false,
    changeOrigin: false,
  })
  return outgoing
}

function nameFailure(error: Error, upgraded: boolean): Reason {
  if (upgraded) return 'upstream-gone'
  const isParsers = 'code' in error && String(error.code).startsWith('HPE_')
  return isParsers ? 'response-malformed' : 'upgrade-failed'
}

// What the upstream said last is still on its way to the client when the upstream is closed.
function endAfterLastByte(client: Socket, upstream: Duplex, done: () => void): void {
  if (upstream instanceof ScrubbedSocket && upstream.isEnding && !client.destroyed)
    upstream.once('close', () => endAfterLastByte(client, upstream, done))
  else if (!upstream.readableEnded || client.destroyed || client.writableFinished) done()
  else {
    client.once('finish', done)
    client.end()
  }
}

// The order and spelling of `inject/` instead of node's; path and Host exactly as judged.
function writeHead(outgoing: ClientRequest, call: Call & Prepared): void {
  for (const name of outgoing.getHeaderNames()) outgoing.removeHeader(name)
  const { headers } = call.outgoing
  for (let at = 0; at < headers.length; at += 2)
    outgoing.appendHeader(headers[at]!, headers[at + 1]!)
  outgoing.setHeader('Connection', 'Upgrade')
  outgoing.setHeader('Upgrade', 'websocket')
  outgoing.path = call.outgoing.path
}

function toObject(headers: RawHeaders): IncomingHttpHeaders {
  const object: IncomingHttpHeaders = {}
  for (let at = 0; at < headers.length; at += 2)
    object[headers[at]!.toLowerCase()] = headers[at + 1]!
  object['connection'] = 'Upgrade'
  object['upgrade'] = 'websocket'
  return object
}

// In front of http-proxy's own listeners: what may not pass has cut both sockets before they would write it.
function countBytes(call: Call, client: Socket, upstream: Socket, joined: Duplex): void {
  const { charge } = call
  const frames = call.inspection?.frames
  client.prependListener('data', (chunk: Buffer) => {
    if (!takes(call, () => charge?.takeOut(chunk.length))) return
    call.bytesOut += chunk.length
    frames?.sent(chunk)
  })
  upstream.prependListener('data', (chunk: Buffer) => {
    if (!takes(call, () => charge?.takeIn(chunk.length))) return
    call.bytesIn += chunk.length
  })
  // What is recorded of it is what the client gets.
  if (frames) joined.prependListener('data', (chunk: Buffer) => frames.received(chunk))
}
