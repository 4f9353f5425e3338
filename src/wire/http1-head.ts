// Heads of HTTP/1 messages: the strict reading of their start lines, and whether first bytes could be HTTP at all. Pure;
// called by `listen/` for requests and `forward/` for responses.
// Deliberately not here: what a request's target, Host and framing mean together (`receive.ts`).

import type { Reason } from '../errors.ts'
import type { RawHeaders } from './body.ts'
import { FieldSection, type LineFault } from './http1-fields.ts'
import type { RequestHead } from './receive.ts'

/** A response head as it was read. */
export interface ResponseHead {
  readonly status: number
  /** As sent, latin1; empty where it has none. */
  readonly statusText: string
  readonly version: '1.0' | '1.1'
  readonly headers: RawHeaders
}

const METHOD_LENGTH_MAX = 24
// RFC 9112 section 3: exactly one space between the three parts; methods are case-sensitive and upper case by custom.
const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Z-]{1,24}) ([\x21-\x7e\x80-\xff]+) HTTP\/(\d\.\d)$/
// RFC 9112 section 4; servers in the field leave the space out where there is no reason phrase.
const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/

/** Reads request heads, one after the other. */
export class RequestHeadReader {
  readonly #section: FieldSection
  #method = ''
  #target = ''
  #version = ''

  /** @param bytesMax of a head; beyond: `head-too-large` */
  constructor(bytesMax: number) {
    this.#section = new FieldSection(
      { bytesMax, malformed: 'malformed-header', tooLarge: 'head-too-large' },
      (line) => this.#readLine(line),
    )
    this.#section.begin()
  }

  /** Whether a part of a head has come. */
  get hasBegun(): boolean {
    return this.#section.hasBegun
  }

  /** Why a head that ends here is none. */
  get truncated(): Reason {
    return this.#version === '' ? 'malformed-request-line' : 'malformed-header'
  }

  /**
   * Takes bytes of a head.
   * @returns where the head ended in `bytes`, -1 where it goes on
   * @throws malformed-request-line, unsupported-version, malformed-header, head-too-large
   */
  read(bytes: Buffer, at: number): number {
    return this.#section.read(bytes, at)
  }

  /** The head that has just ended; the next `read` begins another. */
  take(): RequestHead {
    const { headers } = this.#section
    const version = this.#version
    this.#section.begin()
    this.#version = ''
    return {
      method: this.#method,
      target: this.#target,
      version,
      headers,
      upgrade: asksForWebSocket(headers),
    }
  }

  #readLine(line: string): LineFault | undefined {
    const match = REQUEST_LINE.exec(line)
    if (match === null) return faultOfLine(line)
    this.#method = match[1]!
    this.#target = match[2]!
    this.#version = match[3]!
    return versionFault(this.#version)
  }
}

/** Reads response heads, one after the other. */
export class ResponseHeadReader {
  readonly #section: FieldSection
  #status = 0
  #statusText = ''
  #version: ResponseHead['version'] = '1.1'

  /** @param bytesMax of a head; beyond: `response-malformed` */
  constructor(bytesMax: number) {
    this.#section = new FieldSection(
      { bytesMax, malformed: 'response-malformed', tooLarge: 'response-malformed' },
      (line) => this.#readLine(line),
    )
    this.#section.begin()
  }

  /** Whether a part of a head has come. */
  get hasBegun(): boolean {
    return this.#section.hasBegun
  }

  /** Takes bytes of a head; -1 where it goes on, else where it ended. @throws response-malformed */
  read(bytes: Buffer, at: number): number {
    return this.#section.read(bytes, at)
  }

  /** The head that has just ended; the next `read` begins another. */
  take(): ResponseHead {
    const { headers } = this.#section
    this.#section.begin()
    return { status: this.#status, statusText: this.#statusText, version: this.#version, headers }
  }

  #readLine(line: string): LineFault | undefined {
    const match = STATUS_LINE.exec(line)
    if (match === null) return { reason: 'response-malformed', part: 'status line' }
    this.#version = match[1] === '1.0' ? '1.0' : '1.1'
    this.#status = Number(match[2])
    this.#statusText = match[3] ?? ''
    return undefined
  }
}

/**
 * Whether the first bytes of a tunnel could be an HTTP/1 request; undefined while there are too few to say. The preface of
 * HTTP/2 is not one.
 */
export function looksLikeHttp(bytes: Uint8Array): boolean | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 64)).toString(
    'latin1',
  )
  const space = text.indexOf(' ')
  const method = space < 0 ? text : text.slice(0, space)
  if (method === '' || !/^[A-Z][A-Z-]*$/.test(method) || method.length > METHOD_LENGTH_MAX)
    return text === '' ? undefined : false
  if (space < 0) return undefined
  if (method === 'PRI') return false
  const first = text[space + 1]
  return first === undefined ? undefined : /[/a-zA-Z*[0-9]/.test(first)
}

// A line that ends in a bare CR or LF is sound up to there: what is wrong is its end.
function faultOfLine(line: string): LineFault {
  const lineEnd = line.search(/[\r\n]/)
  const match = lineEnd < 0 ? null : REQUEST_LINE.exec(line.slice(0, lineEnd))
  if (match === null) return lineFault('malformed-request-line')
  return versionFault(match[3]!) ?? { reason: 'malformed-header', part: 'line end' }
}

// Nobody writes HTTP/0.9 in a line: what claims it wants a parser to take the line for one without fields.
function versionFault(version: string): LineFault | undefined {
  if (version === '1.1' || version === '1.0') return undefined
  return lineFault(version === '0.9' ? 'malformed-request-line' : 'unsupported-version')
}

function lineFault(reason: Reason): LineFault {
  return { reason, part: 'request line' }
}

// RFC 9110 section 7.8: an offer needs both fields. Any other protocol (h2c and the like) makes an ordinary request.
function asksForWebSocket(headers: RawHeaders): boolean {
  let offered = false
  let named = false
  for (let at = 0; at < headers.length; at += 2) {
    const { length } = headers[at]!
    if (length === 7) offered ||= isWebSocketOffer(headers[at]!, headers[at + 1]!)
    else if (length === 10) named ||= isUpgradeOption(headers[at]!, headers[at + 1]!)
  }
  return offered && named
}

function isWebSocketOffer(name: string, value: string): boolean {
  return name.toLowerCase() === 'upgrade' && value.toLowerCase() === 'websocket'
}

function isUpgradeOption(name: string, value: string): boolean {
  return name.toLowerCase() === 'connection' && /(?:^|,)[ \t]*upgrade[ \t]*(?:,|$)/i.test(value)
}
