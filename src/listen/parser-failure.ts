// Gives the failures of node's HTTP parser a reason of the table. Called by `server.ts`.

import type { Reason } from '../errors.ts'
import { explainRequestHead } from '../wire/http1-head.ts'

const REQUEST_LINE = new Set([
  'HPE_INVALID_METHOD',
  'HPE_INVALID_URL',
  'HPE_INVALID_VERSION',
  'HPE_INVALID_CONSTANT',
])
const END_OF_INPUT = 'HPE_INVALID_EOF_STATE'
const BODY = new Set([
  'HPE_INVALID_CHUNK_SIZE',
  'HPE_CHUNK_EXTENSIONS_OVERFLOW',
  'HPE_STRICT',
  END_OF_INPUT,
])

/**
 * The reason of a parser's error; undefined where the connection merely broke.
 * @param first whether it is the connection's first message: then the bytes at hand are its head and can be read again
 */
export function nameParserFailure(error: Error, first: boolean): Reason | undefined {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'head-timeout'
  if (code === 'HPE_HEADER_OVERFLOW') return 'head-too-large'
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 'malformed-body'
  if (!code.startsWith('HPE_')) return undefined
  const bytes: unknown = Reflect.get(error, 'rawPacket')
  if (first && bytes instanceof Uint8Array) return explainRequestHead(bytes)
  if (BODY.has(code)) return 'malformed-body'
  return REQUEST_LINE.has(code) ? 'malformed-request-line' : 'malformed-header'
}

/** Whether the client ended its half before the message was whole. */
export function isEndOfInput(error: Error): boolean {
  return 'code' in error && error.code === END_OF_INPUT
}
