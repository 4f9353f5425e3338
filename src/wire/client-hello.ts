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
const EXTENSION_ECH = 0xfe0d

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
  if (message.length < HELLO_HEADER_BYTES) return MORE
  const length = (message[1]! << 16) | (message[2]! << 8) | message[3]!
  if (message.length < HELLO_HEADER_BYTES + length) return MORE
  try {
    return readHello(new Reader(message.subarray(HELLO_HEADER_BYTES, HELLO_HEADER_BYTES + length)))
  } catch (error) {
    if (error instanceof RangeError) return MALFORMED
    throw error
  }
}

// The handshake bytes of all records that are there, the last one perhaps in part; undefined where a record is none.
function joinRecords(bytes: Uint8Array): Uint8Array | undefined {
  const fragments: Uint8Array[] = []
  let at = 0
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const length = (bytes[at + 3]! << 8) | bytes[at + 4]!
    if (
      bytes[at] !== HANDSHAKE_RECORD ||
      bytes[at + 1] !== 3 ||
      length === 0 ||
      length > RECORD_BYTES_MAX
    )
      // What follows a complete hello is not looked at, so only a gap inside one is malformed.
      return fragments.length > 0 && isComplete(fragments) ? Buffer.concat(fragments) : undefined
    fragments.push(bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length))
    at += RECORD_HEADER_BYTES + length
  }
  return Buffer.concat(fragments)
}

function isComplete(fragments: readonly Uint8Array[]): boolean {
  const joined = Buffer.concat(fragments)
  return (
    joined.length >= HELLO_HEADER_BYTES &&
    joined.length >= HELLO_HEADER_BYTES + ((joined[1]! << 16) | (joined[2]! << 8) | joined[3]!)
  )
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
    } else if (type === EXTENSION_ALPN) alpn = readAlpn(body)
    else if (type === EXTENSION_ECH) ech = true
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

function readAlpn(body: Reader): string[] {
  const list = body.take(body.uint16())
  const protocols: string[] = []
  while (list.left > 0) protocols.push(list.text(list.uint8()))
  return protocols
}

/** Reads big-endian fields; past the end throws a RangeError. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  skip(count: number): void {
    if (count > this.left) throw new RangeError('past the end')
    this.#at += count
  }

  take(count: number): Reader {
    const from = this.#at
    this.skip(count)
    return new Reader(this.#bytes.subarray(from, from + count))
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
