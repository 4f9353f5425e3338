// Writes server-sent events so that every reader reads them alike, and tells bytes that some reader ends a line at. Pure;
// called by `sse.ts` and `exchange.ts`.

import { Buffer } from 'node:buffer'

/** The fields of an event as the standard reads them. */
export interface SseFields {
  /** `event`; absent: `message`. */
  readonly type?: string
  readonly id?: string
  readonly retry?: string
  /** The lines of `data`, joined by LF; absent where there is none. */
  readonly data?: Uint8Array
}

// Where line readers that know Unicode end a line besides CR and LF, in bytes of UTF-8 each as a character; and U+FEFF, which
// some readers drop wherever it stands.
// oxlint-disable-next-line no-control-regex
const ODD = /[\0\v\f\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9]|\xef\xbb\xbf/
const PLAIN_LINE = /^[\x20-\x7e]*$/

/** Whether bytes hold something that some reader ends a line at or drops. */
export function hasOddBreaks(bytes: Buffer): boolean {
  return ODD.test(bytes.toString('latin1'))
}

/** Whether a line is nothing but visible ASCII and spaces. */
export function isPlainLine(line: Uint8Array): boolean {
  return PLAIN_LINE.test(Buffer.from(line.buffer, line.byteOffset, line.length).toString('latin1'))
}

/**
 * The event in its plainest form: one line of data, odd characters as escapes of JSON; empty where no field is there.
 * @param fields data must be JSON, or ASCII in one line
 */
export function formatEvent({ type, id, retry, data }: SseFields): Buffer {
  const lines: string[] = []
  if (type !== undefined) lines.push(`event: ${type}\n`)
  if (id !== undefined) lines.push(`id: ${id}\n`)
  if (retry !== undefined) lines.push(`retry: ${retry}\n`)
  if (data !== undefined) lines.push(`data: ${escapeOdd(Buffer.from(data).toString())}\n`)
  return Buffer.from(lines.length > 0 ? `${lines.join('')}\n` : '')
}

// Between the tokens of JSON a line end is a space; inside its strings none can stand.
function escapeOdd(text: string): string {
  return text
    .replaceAll('\n', ' ')
    .replaceAll(
      /[\u0085\u2028\u2029\uFEFF]/g,
      (odd) => `\\u${odd.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
}
