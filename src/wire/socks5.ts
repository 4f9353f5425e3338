// What a client of SOCKS5 says before its tunnel, and what is answered: strict, from whole messages, the same however the
// bytes arrive. Pure; called by `listen/socks-door.ts`. Deliberately opens nothing and knows no task: what a request names is
// read on as the target of a CONNECT is. @see RFC 1928, RFC 1929

import { EgressError, REASONS, type Reason } from '../errors.ts'

/** A message that is whole, and how many bytes it took. */
export interface SocksMessage<T> {
  readonly value: T
  readonly bytes: number
}

/** How a client may prove itself. */
export type SocksMethod = 'none' | 'password'

const VERSION = 5
// RFC 1929 section 2: of the sub-negotiation alone.
const PASSWORD_VERSION = 1
const CONNECT = 1
const METHODS: ReadonlyMap<number, SocksMethod> = new Map([
  [0, 'none'],
  [2, 'password'],
])
const NO_METHOD = 0xff
const IPV4 = 1
const NAME = 3
const IPV6 = 4
const ADDRESS_AT = 4
const COLON = 0x3a

/**
 * Reads the greeting: which methods are offered; undefined while it is not whole.
 * @throws protocol-not-allowed where it is not SOCKS5; malformed-request-line where it offers nothing
 */
export function readGreeting(bytes: Uint8Array): SocksMessage<ReadonlySet<number>> | undefined {
  const [version, count] = bytes
  if (version === undefined) return undefined
  if (version !== VERSION) throw new EgressError('protocol-not-allowed', { begins: version })
  if (count === undefined) return undefined
  if (count === 0) throw malformed('methods')
  const end = 2 + count
  return bytes.length < end ? undefined : { value: new Set(bytes.subarray(2, end)), bytes: end }
}

/** The method a client is to use: one that can prove a task before none at all; undefined where we speak none of those offered. */
export function chooseMethod(offered: ReadonlySet<number>): SocksMethod | undefined {
  if (offered.has(2)) return 'password'
  return offered.has(0) ? 'none' : undefined
}

/** The answer to a greeting. @param method undefined: none of those that were offered */
export function formatMethod(method: SocksMethod | undefined): string {
  const code = [...METHODS].find(([, each]) => each === method)?.[0] ?? NO_METHOD
  return String.fromCharCode(VERSION, code)
}

/**
 * Reads a user name and password, as the value of a `Proxy-Authorization` that says the same; undefined while it is not whole.
 * Either may be empty: some clients send no password where the system's user has none.
 * @throws malformed-request-line; identity-unknown where the name would be read differently
 */
export function readPassword(bytes: Uint8Array): SocksMessage<string> | undefined {
  const [version, nameBytes] = bytes
  if (version === undefined) return undefined
  if (version !== PASSWORD_VERSION) throw malformed('password version')
  if (nameBytes === undefined) return undefined
  const passwordAt = 2 + nameBytes
  const passwordBytes = bytes[passwordAt]
  if (passwordBytes === undefined) return undefined
  const end = passwordAt + 1 + passwordBytes
  if (bytes.length < end) return undefined
  const name = bytes.subarray(2, passwordAt)
  if (name.includes(COLON)) throw new EgressError('identity-unknown', { why: 'colon' })
  const password = bytes.subarray(passwordAt + 1, end)
  const text = Buffer.concat([name, Buffer.of(COLON), password]).toString('base64')
  return { value: `Basic ${text}`, bytes: end }
}

/** The answer to a user name and password. @param taken whether it is one; whose it is turns out with the request */
export function formatPasswordAnswer(taken: boolean): string {
  return String.fromCharCode(PASSWORD_VERSION, taken ? 0 : 1)
}

/** What a request asks for that is never done, by the code of its answer. */
export class SocksRefusal extends EgressError {
  readonly code: number

  constructor(code: number, detail: EgressError['detail']) {
    super('protocol-not-allowed', detail)
    this.code = code
  }
}

/**
 * Reads a request: the target as a CONNECT would write it, latin1 and not checked further; undefined while it is not whole.
 * @throws malformed-request-line; SocksRefusal where it asks for something else than a connection
 */
export function readSocksRequest(bytes: Uint8Array): SocksMessage<string> | undefined {
  const [version, command, reserved, type, length] = bytes
  if (version === undefined) return undefined
  if (version !== VERSION) throw malformed('version')
  if (command === undefined) return undefined
  if (command !== CONNECT) throw new SocksRefusal(7, { command })
  if (reserved === undefined) return undefined
  if (reserved !== 0) throw malformed('reserved')
  if (type === undefined) return undefined
  if (type !== IPV4 && type !== NAME && type !== IPV6) throw new SocksRefusal(8, { type })
  if (length === undefined) return undefined
  const hostAt = type === NAME ? ADDRESS_AT + 1 : ADDRESS_AT
  const portAt = hostAt + (type === NAME ? length : type === IPV4 ? 4 : 16)
  if (bytes.length < portAt + 2) return undefined
  const host = hostText(type, bytes.subarray(hostAt, portAt))
  const port = (bytes[portAt]! << 8) | bytes[portAt + 1]!
  return { value: `${host}:${port}`, bytes: portAt + 2 }
}

/** The answer to a request. The address it tells is nobody's business: none. */
export function formatReply(code: number): string {
  return String.fromCharCode(VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0)
}

/** The code of a request that is granted. */
export const SOCKS_GRANTED = 0

// RFC 1928 section 6, of what stands in the way of a connection.
const DIAL_CODES: ReadonlyMap<unknown, number> = new Map([
  ['ENETUNREACH', 3],
  ['EHOSTUNREACH', 4],
  ['ECONNREFUSED', 5],
])

/** The code of a request that is refused. @param code of the system, where dialing failed */
export function replyCodeOf(reason: Reason, code: unknown): number {
  if (reason === 'dial-failed') return DIAL_CODES.get(code) ?? 1
  if (reason === 'resolve-failed' || reason === 'connect-timeout') return 4
  const { proxyStatus } = REASONS[reason]
  const isDenied =
    proxyStatus === 'http_request_denied' || proxyStatus === 'destination_ip_prohibited'
  return isDenied ? 2 : 1
}

/** What a client of SOCKS4 understands as a refusal. @see SOCKS: A protocol for TCP proxy across firewalls, by Ying-Da Lee */
export const SOCKS4_REFUSED: string = String.fromCharCode(0, 0x5b, 0, 0, 0, 0, 0, 0)

function hostText(type: number, bytes: Uint8Array): string {
  if (type === IPV4) return bytes.join('.')
  const buffer = Buffer.from(bytes)
  if (type === NAME) return buffer.toString('latin1')
  return `[${buffer.toString('hex').match(/.{4}/g)!.join(':')}]`
}

function malformed(part: string): EgressError {
  return new EgressError('malformed-request-line', { part })
}
