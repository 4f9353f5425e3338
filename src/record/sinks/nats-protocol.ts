// The client's side of NATS's text protocol, as far as publishing to JetStream needs it: reads what a server says, bounded,
// and writes messages with headers. Pure. Called by `nats-client.ts`.

/** What a server says of itself, as far as it is believed. */
export interface ServerInfo {
  readonly headers: boolean
  readonly tlsRequired: boolean
  /** Bytes of a message with its headers. */
  readonly maxPayload: number
  readonly nonce: string | undefined
}

/** One thing that a server says. */
export type ServerOperation =
  | { readonly kind: 'info'; readonly info: ServerInfo }
  | { readonly kind: 'ping' | 'pong' }
  | { readonly kind: 'error'; readonly text: string }
  | {
      readonly kind: 'message'
      readonly subject: string
      /** Of its headers, where it has any: `503` where nobody listens. */
      readonly status: string | undefined
      readonly payload: Buffer
    }

/** Bytes of one line and of one payload: INFO may list a large cluster, an acknowledgement is short. */
const LINE_BYTES_MAX = 64 * 1024
const PAYLOAD_BYTES_MAX = 64 * 1024
const MAX_PAYLOAD_USUAL = 1024 * 1024
const LENGTH = /^\d{1,9}$/

/** The longest line that a server may say. */
export const GREETING_BYTES_MAX: number = LINE_BYTES_MAX

interface Awaited {
  readonly subject: string
  readonly headerBytes: number
  readonly totalBytes: number
}

/** Puts a server's bytes together and reads them. */
export class ServerReader {
  #rest: Buffer = Buffer.alloc(0)
  #awaited: Awaited | undefined

  /** Gives what is complete with these bytes. @throws Error where they are no NATS, or more than is read */
  read(chunk: Buffer): ServerOperation[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const operations: ServerOperation[] = []
    for (;;) {
      const operation = this.#awaited === undefined ? this.#readLine() : this.#readPayload()
      if (operation === undefined) return operations
      if (operation !== 'none') operations.push(operation)
    }
  }

  #readLine(): ServerOperation | 'none' | undefined {
    const end = this.#rest.indexOf('\r\n')
    if (end > LINE_BYTES_MAX || (end < 0 && this.#rest.length > LINE_BYTES_MAX))
      throw new Error('a line of the server is too long')
    if (end < 0) return undefined
    const line = this.#rest.toString('utf8', 0, end)
    this.#rest = this.#rest.subarray(end + 2)
    const [verb = '', ...words] = line.split(/[ \t]+/, 8)
    switch (verb.toUpperCase()) {
      case 'PING':
        return { kind: 'ping' }
      case 'PONG':
        return { kind: 'pong' }
      case '+OK':
        return 'none'
      case '-ERR':
        return { kind: 'error', text: line.slice(4).trim() }
      case 'INFO':
        return { kind: 'info', info: readInfo(line.slice(4)) }
      case 'MSG':
        this.#awaited = awaitedOf(words, false)
        return 'none'
      case 'HMSG':
        this.#awaited = awaitedOf(words, true)
        return 'none'
      default:
        throw new Error('the server does not speak NATS')
    }
  }

  #readPayload(): ServerOperation | undefined {
    const { subject, headerBytes, totalBytes } = this.#awaited!
    if (this.#rest.length < totalBytes + 2) return undefined
    const head = this.#rest.toString('latin1', 0, headerBytes)
    const payload = this.#rest.subarray(headerBytes, totalBytes)
    this.#rest = this.#rest.subarray(totalBytes + 2)
    this.#awaited = undefined
    const status = /^NATS\/1\.0[ \t]+(\d{3})/.exec(head)?.[1]
    return { kind: 'message', subject, status, payload }
  }
}

// `subject sid [reply] [header bytes] total bytes`
function awaitedOf(words: readonly string[], hasHeaders: boolean): Awaited {
  const lengths = words.slice(hasHeaders ? -2 : -1)
  const isComplete = words.length >= (hasHeaders ? 4 : 3) && words.length <= (hasHeaders ? 5 : 4)
  const total = Number(lengths.at(-1))
  const header = hasHeaders ? Number(lengths[0]) : 0
  if (!isComplete || !lengths.every((length) => LENGTH.test(length)) || header > total)
    throw new Error('the server does not speak NATS')
  if (total > PAYLOAD_BYTES_MAX) throw new Error('a message of the server is too long')
  return { subject: words[0] ?? '', headerBytes: header, totalBytes: total }
}

function readInfo(text: string): ServerInfo {
  const info: Readonly<Record<string, unknown>> = JSON.parse(text)
  const { max_payload: maxPayload, nonce } = info
  return {
    headers: info['headers'] === true,
    tlsRequired: info['tls_required'] === true,
    maxPayload: typeof maxPayload === 'number' && maxPayload > 0 ? maxPayload : MAX_PAYLOAD_USUAL,
    nonce: typeof nonce === 'string' ? nonce : undefined,
  }
}

/** A message to a subject, with headers. Subject, reply and headers hold no space and no control character: the caller's promise. */
export interface NatsMessage {
  readonly subject: string
  readonly headers: Readonly<Record<string, string>>
  readonly payload: Buffer
}

/** Bytes of a message as a server counts them: its headers and its payload. */
export function messageBytes({ headers, payload }: NatsMessage): number {
  return headerBlock(headers).length + payload.length
}

/** Writes a publication that is answered to `reply`: the line that announces it, and what it announces. */
export function publication(message: NatsMessage, reply: string): readonly [Buffer, Buffer] {
  const { subject, headers, payload } = message
  const block = headerBlock(headers)
  const total = block.length + payload.length
  const line = `HPUB ${subject} ${reply} ${String(block.length)} ${String(total)}\r\n`
  return [Buffer.from(line), Buffer.concat([block, payload, Buffer.from('\r\n')])]
}

function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`NATS/1.0\r\n${lines.join('')}\r\n`)
}

/** What became of one message. */
export type NatsAnswer =
  | { readonly kind: 'stored'; readonly stream: string; readonly duplicate: boolean }
  /** By JetStream's own code where it has one; 503 where nobody listens to the subject. */
  | {
      readonly kind: 'failed'
      readonly code: number
      readonly errorCode: number
      readonly text: string
    }

/** Reads what JetStream says of a message. @throws Error where it is no JSON */
export function readAnswer({
  status,
  payload,
}: {
  readonly status: string | undefined
  readonly payload: Buffer
}): NatsAnswer {
  if (status !== undefined)
    return { kind: 'failed', code: Number(status), errorCode: 0, text: `status ${status}` }
  const { error, stream, seq, duplicate }: PubAck = JSON.parse(payload.toString())
  if (error !== undefined || typeof stream !== 'string' || typeof seq !== 'number') {
    const { code = 0, err_code: errorCode = 0, description = 'no acknowledgement' } = error ?? {}
    return { kind: 'failed', code, errorCode, text: String(description) }
  }
  return { kind: 'stored', stream, duplicate: duplicate === true }
}

/** As a server writes it; of a stranger, so each member is looked at. */
interface PubAck {
  readonly error?: {
    readonly code?: number
    readonly err_code?: number
    readonly description?: unknown
  }
  readonly stream?: unknown
  readonly seq?: unknown
  readonly duplicate?: unknown
}
