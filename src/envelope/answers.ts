// The answers of `sallyport.internal` as responses: JSON that is harmless wherever it is shown, or plain text. Pure. Called by
// `envelope.ts`.

import type { UpstreamResponse } from '../call.ts'
import { NO_BODY, type Body } from '../wire/body.ts'
import { jsonText } from '../wire/json-text.ts'

/** What is answered, before it is bytes. */
export interface OwnAnswer {
  readonly status: number
  /** JSON unless it is a text. */
  readonly content: object | string
  /** Methods that are taken, where another was used. */
  readonly allow?: string
}

const PHRASES: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
}

/** Says what is wrong with a request to this host, in the shape of every refusal. */
export function problem(status: number, detail: string, allow?: string): OwnAnswer {
  const content = { type: 'about:blank', title: PHRASES[status] ?? '', status, detail }
  return { status, content, ...(allow !== undefined && { allow }) }
}

/** Answers with what was found; undefined: there is nothing. */
export function found(content: object | undefined): OwnAnswer {
  return content === undefined
    ? problem(404, 'There is nothing here for this task. GET / says what there is.')
    : { status: 200, content }
}

/** Writes an answer. @param isHead the client asked for the head alone */
export function responseOf(
  { status, content, allow }: OwnAnswer,
  isHead: boolean,
): UpstreamResponse {
  const isText = typeof content === 'string'
  const bytes = Buffer.from(isText ? content : `${jsonText(content)}\n`)
  const type = isText
    ? 'text/plain; charset=utf-8'
    : `application/${status < 400 ? 'json' : 'problem+json'}`
  return {
    status,
    statusText: PHRASES[status] ?? '',
    headers: [
      'Content-Type',
      type,
      'Cache-Control',
      'no-store',
      'X-Content-Type-Options',
      'nosniff',
      ...(allow === undefined ? [] : ['Allow', allow]),
    ],
    length: bytes.length,
    body: isHead ? NO_BODY : bodyOf(bytes),
  }
}

function bodyOf(bytes: Uint8Array): Body {
  let isRead = false
  return {
    length: bytes.length,
    trailers: [],
    read: () => {
      if (isRead) return null
      isRead = true
      return bytes
    },
    wait: () => Promise.resolve(),
    abort: () => undefined,
  }
}
