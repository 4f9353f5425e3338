// What receivers behind HTTP have in common, whatever they take: compression, the time for one answer, an answer that is
// read as JSON or not at all, and words of theirs that may be repeated. Deliberately opens no connection: `config/` passes
// `net/`'s client. Called by `otlp.ts`, `splunk.ts` and `elastic.ts`.

import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'

import type { Limits } from '../../limits.ts'
import { escapeUnprintable } from '../printable.ts'
import type { Delivery } from './delivery.ts'

/** Posts a body to the endpoint that it was made for, and gives the beginning of the answer. */
export interface ReceiverPost {
  (
    body: Uint8Array,
    headers: Record<string, string>,
    signal: AbortSignal,
    keep: { readonly bytesMax: number; readonly path: string },
  ): Promise<{ readonly status: number; readonly retryAfter?: string; readonly body: Buffer }>
}

/** How a receiver is reached. */
export interface ReceiverOptions {
  readonly post: ReceiverPost
  /** The operator's own; they may hold a secret, so they are in no message. */
  readonly headers: Readonly<Record<string, string>>
  readonly compress: 'none' | 'gzip'
  readonly limits: Pick<Limits, 'sinkTimeoutMs'>
  readonly now: () => number
}

/** What a receiver answered. */
export interface Answer {
  readonly status: number
  /** How long it asks to be left alone, at most five minutes; undefined where it does not ask. */
  readonly afterMs: number | undefined
  /** Undefined where it is no JSON, and where it is longer than was wanted: a part of it would mean something else. */
  readonly json: unknown
  /** There was more to the answer than was wanted. */
  readonly isCut: boolean
  readonly isEmpty: boolean
}

/** A body and how much of the answer is wanted. */
export interface SentBody {
  /** With its query. */
  readonly path: string
  readonly type: string
  readonly body: Buffer
  readonly answerBytesMax: number
}

/** Nobody may silence a sink for longer by a header field. */
const RETRY_AFTER_MAX_MS = 300_000
const WORDS_CHARACTERS_MAX = 200
/** Shorter pieces of a header's value are words of its grammar. */
const SECRET_CHARACTERS_MIN = 6

const compressed = promisify(gzip)

/** One receiver. */
export class Receiver {
  readonly #options: ReceiverOptions
  readonly #secrets: readonly string[]

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#secrets = Object.values(options.headers).flatMap(secretsOf)
  }

  /** Sends a body. @throws Error of the connection, of the time, of an answer that breaks off */
  async send({ path, type, body, answerBytesMax }: SentBody, closed: AbortSignal): Promise<Answer> {
    const { post, headers, compress, limits, now } = this.#options
    const signal = AbortSignal.any([closed, AbortSignal.timeout(limits.sinkTimeoutMs)])
    const isCompressed = compress === 'gzip'
    // The least effort gets most of it: records repeat themselves.
    const sent = isCompressed ? await compressed(body, { level: constants.Z_BEST_SPEED }) : body
    const answer = await post(
      sent,
      {
        accept: 'application/json',
        'content-type': type,
        ...(isCompressed && { 'content-encoding': 'gzip' }),
        ...headers,
      },
      signal,
      { path, bytesMax: answerBytesMax + 1 },
    )
    const isCut = answer.body.length > answerBytesMax
    return {
      status: answer.status,
      afterMs: retryAfterMs(answer.retryAfter, now()),
      json: isCut ? undefined : parse(answer.body),
      isCut,
      isEmpty: answer.body.length === 0,
    }
  }

  /** A receiver's words as they may be repeated: short, nothing that acts on a terminal, nothing of what it was sent with. */
  words(said: unknown): string {
    if (typeof said !== 'string') return ''
    let words = said.slice(0, WORDS_CHARACTERS_MAX * 4)
    for (const secret of this.#secrets) words = words.replaceAll(secret, '[redacted]')
    return escapeUnprintable(words).slice(0, WORDS_CHARACTERS_MAX)
  }
}

/** Try again soon: all of it, and when the receiver says when, then. */
export function later(
  detail: string,
  { afterMs }: Partial<Pick<Answer, 'afterMs'>> = {},
): Extract<Delivery, { readonly outcome: 'later' }> {
  return { outcome: 'later', detail, ...(afterMs !== undefined && { afterMs }) }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

/**
 * How long a `Retry-After` asks to wait: seconds or a date.
 * @see https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 */
function retryAfterMs(field: string | undefined, now: number): number | undefined {
  if (field === undefined || field.length > 64) return undefined
  const waitMs = /^\d{1,9}$/.test(field) ? Number(field) * 1000 : Date.parse(field) - now
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(0, waitMs), RETRY_AFTER_MAX_MS)
}

// A receiver may repeat a value, a part of it, or what `Basic` holds.
function secretsOf(value: string): string[] {
  const pieces = value.split(' ')
  const decoded = pieces.map((piece) => Buffer.from(piece, 'base64').toString('latin1'))
  const passwords = decoded.flatMap((text) => text.split(':'))
  return [value, ...pieces, ...decoded, ...passwords].filter(
    ({ length }) => length >= SECRET_CHARACTERS_MIN,
  )
}
