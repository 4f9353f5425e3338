// Turns a parsed request head into the one canonical request that everything else works on: target, Host and tunnel must
// name the same destination, framing must be unambiguous. Pure; called by `pipeline.ts` in the stage `received`.
// Deliberately not here: the byte-level parsing (the engine's) and whether the call is allowed (`policy/`).

import { EgressError } from '../errors.ts'
import { isSameAuthority, parseAuthority, type Endpoint } from './authority.ts'
import type { RawHeaders } from './body.ts'
import {
  checkHeaderFields,
  checkHost,
  firstValue,
  requestFraming,
  type Framing,
} from './headers.ts'
import { dropNominated } from './hop-by-hop.ts'
import { readHttp2Head } from './http2-head.ts'
import type { PathReadings } from './path.ts'
import { parseRequestTarget } from './target.ts'

/** A request head as the engine parsed it, nothing checked yet. */
export interface RequestHead {
  readonly method: string
  /** The request target, latin1. */
  readonly target: string
  /** `1.1`, `1.0`, or whatever the client wrote; `2` is no word of the client's, but how it was read. */
  readonly version: string
  readonly headers: RawHeaders
  /** Whether the client asks for the protocol to be switched on this connection. */
  readonly upgrade: boolean
  /** Of HTTP/2 alone, whose end of a message is no field: nothing comes behind the head. */
  readonly isWhole?: boolean
}

/** The tunnel a request came out of. */
export interface TunnelScope {
  readonly endpoint: Endpoint
  /** Whether the bytes inside are TLS (then calls are `https`). */
  readonly tls: boolean
}

/** A connection whose client knows of no proxy: each request says by its Host where it goes. */
export interface DirectScope {
  /** Where the client connected to, as far as it is known. */
  readonly dialed: Endpoint | undefined
  /** Where a Host names none and nothing is known of what was dialed. */
  readonly defaultPort: number
}

/** A request whose destination and framing are beyond doubt. */
export interface CanonicalRequest {
  readonly method: string
  readonly version: string
  readonly headers: RawHeaders
  readonly scheme: 'http' | 'https'
  readonly endpoint: Endpoint
  readonly path: PathReadings
  readonly query: string | undefined
  readonly framing: Framing
  /** A WebSocket handshake. */
  readonly upgrade: boolean
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const

/**
 * Reads a request for one resource, in absolute form at the door or in origin form inside a tunnel; HTTP/2 inside one that is
 * TLS.
 * @throws malformed-request-line, unsupported-version, malformed-header, head-too-large, duplicate-host, missing-host,
 *   malformed-target, malformed-port, malformed-path, authority-mismatch, method-not-allowed, protocol-not-allowed
 */
export function readRequest(
  given: RequestHead,
  tunnel: TunnelScope | undefined,
  headerCountMax: number,
): CanonicalRequest {
  const isHttp2 = given.version === '2' && tunnel?.tls === true
  const head = isHttp2 ? { ...given, ...readHttp2Head(given.headers) } : given
  checkHead(head, headerCountMax, isHttp2)
  const { method, version, headers } = head
  const host = checkHost(headers, version)
  const framing = isHttp2 ? readHttp2Framing(head) : requestFraming(headers, version)
  const target = parseRequestTarget(head.target)
  const scheme = tunnel ? (tunnel.tls ? 'https' : 'http') : target.scheme
  const endpoint = target.endpoint ?? tunnel?.endpoint
  // In origin form at the door there is nothing but Host to say where to: no proxy request.
  if (scheme === undefined || endpoint === undefined)
    throw new EgressError('malformed-target', { form: 'origin' })
  if (target.scheme !== undefined && target.scheme !== scheme)
    throw new EgressError('authority-mismatch', { part: 'scheme' })
  if (tunnel && !isSameAuthority(endpoint, tunnel.endpoint))
    throw new EgressError('authority-mismatch', { part: 'target' })
  if (host !== undefined && !isSameAuthority(parseAuthority(host, DEFAULT_PORTS[scheme]), endpoint))
    throw new EgressError('authority-mismatch', { part: 'host' })
  return {
    method,
    version,
    headers: dropNominated(headers),
    scheme,
    endpoint,
    path: target.path,
    query: target.query,
    framing,
    upgrade: head.upgrade && readUpgrade(head, framing),
    expectsContinue: version !== '1.0' && firstValue(headers, 'expect') !== undefined,
  }
}

/**
 * Reads where a request goes whose client knows of no proxy. HTTP/1.0 may leave Host out: then it goes where it was dialed.
 * @throws the same tokens as `readRequest`; authority-mismatch also where Host names another port than the one that was dialed
 */
export function readDirect(
  head: RequestHead,
  { dialed, defaultPort }: DirectScope,
  headerCountMax: number,
): TunnelScope {
  checkHead(head, headerCountMax)
  const host = checkHost(head.headers, head.version)
  if (host === undefined) {
    if (dialed === undefined) throw new EgressError('missing-host')
    return { endpoint: dialed, tls: false }
  }
  const endpoint = parseAuthority(host, dialed?.port ?? defaultPort)
  if (dialed !== undefined && endpoint.port !== dialed.port)
    throw new EgressError('authority-mismatch', { part: 'port' })
  return { endpoint, tls: false }
}

/**
 * Reads a CONNECT: where the tunnel is to go. A body is not a thing of CONNECT: what follows the head is tunnel data.
 * @throws the same tokens as `readRequest`
 */
export function readConnect(head: RequestHead, headerCountMax: number): Endpoint {
  checkHead(head, headerCountMax)
  const host = checkHost(head.headers, head.version)
  const endpoint = parseAuthority(head.target)
  if (host !== undefined && !isSameAuthority(readConnectHost(host, endpoint), endpoint))
    throw new EgressError('authority-mismatch', { part: 'host' })
  return endpoint
}

// Clients in the field leave the port out of Host when it is 443; the target always has it.
function readConnectHost(host: string, endpoint: Endpoint): Endpoint {
  return parseAuthority(host, endpoint.port === 80 ? 80 : 443)
}

// A body whose length is not said ends where its stream does: towards HTTP/1.1 that is a chunked one.
function readHttp2Framing({ headers, version, isWhole = false }: RequestHead): Framing {
  const framing = requestFraming(headers, version)
  if (!isWhole) return framing.kind === 'none' ? { kind: 'chunked' } : framing
  if (framing.kind === 'length' && framing.length > 0)
    throw new EgressError('malformed-header', { part: 'content-length' })
  return framing
}

function checkHead(head: RequestHead, headerCountMax: number, isHttp2 = false): void {
  if (head.version === '0.9') throw new EgressError('malformed-request-line')
  if (head.version !== '1.1' && head.version !== '1.0' && !isHttp2)
    throw new EgressError('unsupported-version')
  if (head.headers.length > headerCountMax * 2)
    throw new EgressError('head-too-large', { fields: head.headers.length / 2 })
  checkHeaderFields(head.headers)
  // TRACE would hand the injected credential back to the sandbox.
  if (head.method === 'TRACE') throw new EgressError('method-not-allowed', { method: 'TRACE' })
}

// RFC 6455 section 4.1. Other protocols would leave HTTP where no rule can follow, so they are refused by name.
function readUpgrade(head: RequestHead, framing: Framing): boolean {
  const isWebSocket =
    head.method === 'GET' &&
    head.version === '1.1' &&
    framing.kind === 'none' &&
    firstValue(head.headers, 'upgrade')?.toLowerCase() === 'websocket' &&
    firstValue(head.headers, 'sec-websocket-version') === '13' &&
    firstValue(head.headers, 'expect') === undefined
  if (!isWebSocket) throw new EgressError('protocol-not-allowed', { part: 'upgrade' })
  return true
}
