// Recognises TLS by its ClientHello and reads what it shows: the server name, the protocols offered, and whether it is
// encrypted. Every read is bounded by what is there; malformed input is a value, never an exception. Pure; called by
// `listen/tunnel-side.ts`. @see RFC 8446 section 4.1.2, RFC 6066 section 3

/** What the first bytes of a connection are. */
export type Sniffed =
  | { readonly kind: 'more' }
  | { readonly kind: 'not-tls' }
  | { readonly kind: 'malformed' }
  | {
      readonly kind: 'hello'
      /** As sent; undefined where the client names none. */
      readonly serverName: string | undefined
      readonly alpn: readonly string[]
      /** Whether an encrypted ClientHello is offered. A GREASE one cannot be told apart, so it counts. */
      readonly ech: boolean
    }

const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const RECORD_HEADER_BYTES = 5
const HELLO_HEADER_BYTES = 4
const RECORD_BYTES_MAX = 2 ** 14
const EXTENSION_SERVER_NAME = 0
const EXTENSION_ALPN = 16
// RFC 9849, its drafts before, and the ESNI they grew out of.
const EXTENSIONS_ECH: ReadonlySet<number> = new Set([
  0xfe0d, 0xfe0c, 0xfe0b, 0xfe0a, 0xfe09, 0xfe08, 0xffce,
])

const MORE: Sniffed = { kind: 'more' }
const NOT_TLS: Sniffed = { kind: 'not-tls' }
const MALFORMED: Sniffed = { kind: 'malformed' }

/** Reads a ClientHello, which may be split over records. The same bytes give the same answer however they arrived. */
export function sniffClientHello(bytes: Uint8Array): Sniffed {
  if (bytes.length === 0) return MORE
  if (bytes[0] !== HANDSHAKE_RECORD) return NOT_TLS
  if (bytes.length < 2) return MORE
  if (bytes[1] !== 3) return NOT_TLS
  const message = joinRecords(bytes)
  if (message === undefined) return MALFORMED
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return MALFORMED
  if (!isComplete(message, message.length)) return MORE
  const end = HELLO_HEADER_BYTES + lengthOf(message)
  try {
    return readHello(new Reader(message, HELLO_HEADER_BYTES, end))
  } catch (error) {
    if (error instanceof RangeError) return MALFORMED
    throw error
  }
}

// The handshake bytes of all records that are there, the last one perhaps in part; undefined where a record is none.
function joinRecords(bytes: Uint8Array): Uint8Array | undefined {
  // Most come in one record, and need no copy.
  const only = bytes.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + recordLengthAt(bytes, 0))
  if (isHandshakeAt(bytes, 0) && isComplete(only, only.length)) return only
  const joined = new Uint8Array(bytes.length)
  let filled = 0
  let at = 0
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    // What follows a complete hello is not looked at, so only a gap inside one is malformed.
    if (isComplete(joined, filled)) break
    if (!isHandshakeAt(bytes, at)) return undefined
    const length = recordLengthAt(bytes, at)
    const fragment = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length)
    joined.set(fragment, filled)
    filled += fragment.length
    at += RECORD_HEADER_BYTES + length
  }
  return joined.subarray(0, filled)
}

function isHandshakeAt(bytes: Uint8Array, at: number): boolean {
  const length = recordLengthAt(bytes, at)
  const isHandshake = bytes[at] === HANDSHAKE_RECORD && bytes[at + 1] === 3
  return isHandshake && length > 0 && length <= RECORD_BYTES_MAX
}

function recordLengthAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + 3]! << 8) | bytes[at + 4]!
}

function isComplete(message: Uint8Array, filled: number): boolean {
  return filled >= HELLO_HEADER_BYTES && filled >= HELLO_HEADER_BYTES + lengthOf(message)
}

function lengthOf(message: Uint8Array): number {
  return (message[1]! << 16) | (message[2]! << 8) | message[3]!
}

function readHello(hello: Reader): Sniffed {
  hello.skip(2 + 32)
  hello.skip(hello.uint8())
  hello.skip(hello.uint16())
  hello.skip(hello.uint8())
  let serverName: string | undefined
  let alpn: readonly string[] = []
  let ech = false
  if (hello.left === 0) return { kind: 'hello', serverName, alpn, ech }
  const extensions = hello.take(hello.uint16())
  if (hello.left !== 0) return MALFORMED
  const seen = new Set<number>()
  while (extensions.left > 0) {
    const type = extensions.uint16()
    const body = extensions.take(extensions.uint16())
    // A name given twice is read differently by different servers.
    if (seen.has(type)) return MALFORMED
    seen.add(type)
    if (type === EXTENSION_SERVER_NAME) {
      serverName = readServerName(body)
      if (serverName === undefined) return MALFORMED
    } else if (type === EXTENSION_ALPN) {
      const protocols = readAlpn(body)
      if (protocols === undefined) return MALFORMED
      alpn = protocols
    } else if (EXTENSIONS_ECH.has(type)) ech = true
  }
  return { kind: 'hello', serverName, alpn, ech }
}

// Exactly one host name of visible ASCII; undefined otherwise.
function readServerName(body: Reader): string | undefined {
  const list = body.take(body.uint16())
  if (body.left !== 0 || list.uint8() !== 0) return undefined
  const name = list.text(list.uint16())
  return list.left === 0 && /^[\x21-\x7e]+$/.test(name) ? name : undefined
}

function readAlpn(body: Reader): string[] | undefined {
  const list = body.take(body.uint16())
  const protocols: string[] = []
  while (list.left > 0) protocols.push(list.text(list.uint8()))
  return body.left === 0 && protocols.length > 0 && !protocols.includes('') ? protocols : undefined
}

/** Reads big-endian fields of a part of some bytes; past its end throws a RangeError. */
class Reader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, from: number, end: number) {
    this.#bytes = bytes
    this.#at = from
    this.#end = end
  }

  get left(): number {
    return this.#end - this.#at
  }

  skip(count: number): void {
    if (count > this.left) throw new RangeError('past the end')
    this.#at += count
  }

  take(count: number): Reader {
    const from = this.#at
    this.skip(count)
    return new Reader(this.#bytes, from, from + count)
  }

  uint8(): number {
    const from = this.#at
    this.skip(1)
    return this.#bytes[from]!
  }

  uint16(): number {
    return (this.uint8() << 8) | this.uint8()
  }

  text(count: number): string {
    const from = this.#at
    this.skip(count)
    return Buffer.from(this.#bytes.subarray(from, from + count)).toString('latin1')
  }
}
