// The proxy above us, where the configuration names one: asks it for a tunnel to what a call goes to, and writes heads of
// cleartext requests for it. What it answers itself is read, bounded, and given to nobody. Deliberately opens no socket and
// judges no destination: both are `dial.ts`, which calls it.

import type { Socket } from 'node:net'

import { reveal } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import { EgressError } from '../errors.ts'
import { formatAuthority, type Endpoint } from '../wire/authority.ts'
import type { RawHeaders } from '../wire/body.ts'
import { ResponseHeadReader, type ResponseHead } from '../wire/http1-head.ts'
import { checkAddresses, type AddressQuestion } from './classify.ts'
import type { OperatorPermit } from './permit.ts'

/** The proxy above, as the configuration describes it. */
export interface ProxyAbove {
  /** Leave to dial the proxy itself. */
  readonly permit: OperatorPermit
  /** `address`: asked for an address that was checked here; `name`: for the name, whose addresses nobody here sees. */
  readonly connectBy: 'address' | 'name'
  /** What this side proves itself with; undefined: nothing is asked for. */
  readonly auth:
    | {
        readonly user: string
        /** The password as it is now. @throws credential-unavailable */
        readonly secret: () => Promise<Secret>
      }
    | undefined
}

/** Where a tunnel is to go. */
type TunnelTarget = Pick<Endpoint, 'host' | 'kind' | 'port'>

/** A request's target and fields as they are written for one connection. */
interface AddressedHead {
  readonly target: string
  readonly headers: RawHeaders
}

/** Writes the head of a request for the proxy above: in absolute form, with what this side proves itself with. */
export type AddressHead = (head: AddressedHead) => AddressedHead

/** How a connection through the proxy is opened. */
interface ThroughOptions {
  readonly signal: AbortSignal
  /** Of one head of the proxy's. */
  readonly headBytesMax: number
  /** For the whole of it, of `performance.now()`. */
  readonly deadline: number
  /** For the proxy to answer once it is connected, milliseconds. */
  readonly acceptMs: number
  /** Whether verified TLS with the destination follows. */
  readonly tls: boolean
  /** For plain HTTP requests alone. */
  readonly forRequests?: boolean
}

/** A connection that leads to the destination, or with `addressHead` to the proxy, which sends requests on. */
interface Through {
  readonly socket: Socket
  readonly addressHead?: AddressHead
}

type Read = { readonly head: ResponseHead; readonly rest: Buffer }

// Before the answer itself; a proxy that says more of them says nothing.
const INFORMATIONAL_MAX = 8
const PROXY_AUTHENTICATION_REQUIRED = 407

/**
 * Opens a connection through the proxy to one destination.
 * @param target a checked address, or a name
 * @param dialProxy connects to the proxy itself
 * @throws dial-failed with the proxy's status or what else was wrong as `proxy`; connect-timeout, client-gone,
 * credential-unavailable; whatever `dialProxy` throws
 */
export async function openThrough(
  { connectBy, auth }: ProxyAbove,
  target: TunnelTarget,
  options: ThroughOptions,
  dialProxy: () => Promise<Socket>,
): Promise<Through> {
  const login = auth && new ProxyLogin(auth.user, await auth.secret())
  const socket = await dialProxy()
  if (connectBy === 'name' && options.forRequests === true && !options.tls)
    return { socket, addressHead: addressedBy(target, login) }
  await askTunnel(socket, target, login, options)
  return { socket }
}

// Where it is granted, the connection is the tunnel, at its first byte: RFC 9110 section 9.3.6.
async function askTunnel(
  socket: Socket,
  target: TunnelTarget,
  login: ProxyLogin | undefined,
  options: ThroughOptions,
): Promise<void> {
  const authority = formatAuthority(target)
  const proof = login === undefined ? '' : `Proxy-Authorization: ${login.text()}\r\n`
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${proof}\r\n`, 'latin1')
  const { head, rest } = await readAnswer(socket, options)
  const fault = faultOf(head, rest, options)
  if (fault === undefined) {
    if (rest.length > 0) socket.unshift(rest)
    return
  }
  socket.destroy()
  throw refusedByProxy(fault)
}

function faultOf(
  { status, headers }: ResponseHead,
  rest: Buffer,
  { tls, forRequests = false }: ThroughOptions,
): string | number | undefined {
  if (status < 200 || status > 299) return status
  // This side speaks first in there.
  if ((tls || forRequests) && rest.length > 0) return 'bytes behind its answer'
  // To be ignored, says the RFC. Where no TLS of ours is inside, what follows would be taken for the destination's words.
  return !tls && saysBody(headers) ? 'a body behind its answer' : undefined
}

// What this side proves itself to the proxy with: made for one connection, opened only as it is sent (I3).
class ProxyLogin {
  readonly #user: string
  readonly #secret: Secret

  constructor(user: string, secret: Secret) {
    this.#user = user
    this.#secret = secret
  }

  // RFC 7617.
  text(): string {
    const password = reveal(this.#secret, 'proxy above')
    return `Basic ${Buffer.from(`${this.#user}:${password}`, 'utf8').toString('base64')}`
  }
}

// Writes the heads of cleartext requests to one destination.
function addressedBy(target: TunnelTarget, login: ProxyLogin | undefined): AddressHead {
  const origin = `http://${formatAuthority(target, 80)}`
  return ({ target: path, headers }) => ({
    // RFC 9112 section 3.2.4: what asks for the whole server has no path in absolute form.
    target: path === '*' ? origin : `${origin}${path}`,
    headers: login === undefined ? headers : [...headers, 'Proxy-Authorization', login.text()],
  })
}

/** Why an answer in place of the destination's is the proxy's own; undefined where it may be the destination's. */
export function proxyRefusal(status: number): EgressError | undefined {
  return status === PROXY_AUTHENTICATION_REQUIRED ? refusedByProxy(status) : undefined
}

/**
 * A name as the proxy is asked for it: its addresses are the proxy's to judge, but for names that are of this machine always.
 * @throws resolved-address-denied, loop-detected
 * @see RFC 6761 section 6.3
 */
export function nameForProxy(question: AddressQuestion, name: string): string {
  if (name === 'localhost' || name.endsWith('.localhost')) checkAddresses(question, ['127.0.0.1'])
  return name
}

/** Whether asking the proxy for another address of the same destination would end the same way. */
export function isOfProxyAlone(error: EgressError): boolean {
  return (
    error instanceof ProxyUnreachable || error.detail['proxy'] === PROXY_AUTHENTICATION_REQUIRED
  )
}

/** A failure to reach the proxy itself, as the call's: only some reasons say the truth of the destination too. */
export function explainProxyFailure(error: unknown): unknown {
  if (!(error instanceof EgressError)) return error
  const { reason } = error
  return reason === 'client-gone' || reason === 'loop-detected'
    ? error
    : new ProxyUnreachable(error)
}

class ProxyUnreachable extends EgressError {
  constructor(cause: EgressError) {
    const { reason, detail } = cause
    const told = reason === 'connect-timeout' ? reason : 'dial-failed'
    super(told, { ...detail, proxy: reason }, { cause })
  }
}

function refusedByProxy(proxy: string | number): EgressError {
  return new EgressError('dial-failed', { proxy })
}

// Read as it comes and not by flowing: whoever gets the socket finds it as if nobody had read from it.
function readAnswer(
  socket: Socket,
  { signal, headBytesMax, deadline, acceptMs }: ThroughOptions,
): Promise<Read> {
  const answer = new AnswerReader(headBytesMax)
  return new Promise((resolve, reject) => {
    const finish = (error: EgressError | undefined, read?: Read): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.off('readable', onReadable).off('end', onClose).off('close', onClose)
      if (read !== undefined) return resolve(read)
      socket.destroy()
      reject(error ?? refusedByProxy('closed'))
    }
    const onAbort = (): void => finish(new EgressError('client-gone'))
    const onClose = (): void => finish(refusedByProxy('closed'))
    const onReadable = (): void => {
      try {
        for (let chunk = readFrom(socket); chunk !== null; chunk = readFrom(socket)) {
          const read = answer.read(chunk)
          if (read !== undefined) return finish(undefined, read)
        }
      } catch (error) {
        finish(error instanceof EgressError ? error : refusedByProxy('unreadable'))
      }
    }
    const leftMs = Math.max(1, Math.min(acceptMs, deadline - performance.now()))
    const onTimeout = (): void => finish(new EgressError('connect-timeout', { proxy: 'no answer' }))
    const timer = setTimeout(onTimeout, leftMs)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) return onAbort()
    if (socket.destroyed || socket.readableEnded) return onClose()
    socket.on('readable', onReadable).on('end', onClose).on('close', onClose)
  })
}

function readFrom(socket: Socket): Buffer | null {
  const chunk: Buffer | null = socket.read()
  return chunk
}

class AnswerReader {
  readonly #heads: ResponseHeadReader
  #informational = 0

  constructor(headBytesMax: number) {
    this.#heads = new ResponseHeadReader(headBytesMax)
  }

  /** Takes bytes; gives the answer once it is there. @throws dial-failed */
  read(chunk: Buffer): Read | undefined {
    for (let at = 0; at < chunk.length;) {
      try {
        at = this.#heads.read(chunk, at)
      } catch {
        throw refusedByProxy('unreadable')
      }
      if (at < 0) return undefined
      const head = this.#heads.take()
      if (head.status >= 200 || head.status === 101) return { head, rest: chunk.subarray(at) }
      this.#informational += 1
      if (this.#informational > INFORMATIONAL_MAX) throw refusedByProxy('unreadable')
    }
    return undefined
  }
}

function saysBody(headers: RawHeaders): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase()
    if (name === 'transfer-encoding') return true
    if (name === 'content-length' && headers[at + 1]!.trim() !== '0') return true
  }
  return false
}
