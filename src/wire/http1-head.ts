// Reads raw bytes where node's parser has refused them or has not seen them yet: why is this no request head, and could
// this be HTTP at all? Pure; called by `listen/`.

import { EgressError, type Reason } from '../errors.ts'
import { parseAuthority } from './authority.ts'
import { parseRequestTarget } from './target.ts'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const METHOD_LENGTH_MAX = 24

/**
 * Why these bytes are no request head that this proxy takes.
 * @param bytes from the first byte of the head; may go on behind it
 * @returns malformed-request-line, unsupported-version, malformed-header, duplicate-host, missing-host, malformed-body, or
 *   what is wrong with the target: malformed-target, malformed-port, scoped-ip, malformed-path
 */
export function explainRequestHead(bytes: Uint8Array): Reason {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const lineEnd = text.search(/[\r\n]/)
  const line = lineEnd < 0 ? text : text.slice(0, lineEnd)
  const parts = line.split(' ')
  const [method = '', target = '', version = ''] = parts
  // eslint-disable-next-line no-control-regex
  if (parts.length !== 3 || !isMethod(method) || !/^[^\x00-\x20\x7f]+$/.test(target))
    return 'malformed-request-line'
  // Nobody writes HTTP/0.9 in a line: what claims it wants a parser to take the line for one without fields.
  if (!/^HTTP\/\d\.\d$/.test(version) || version === 'HTTP/0.9') return 'malformed-request-line'
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') return 'unsupported-version'
  const headEnd = text.indexOf('\r\n\r\n', lineEnd < 0 ? 0 : lineEnd)
  const fields = lineEnd < 0 ? '' : text.slice(lineEnd, headEnd < 0 ? undefined : headEnd + 2)
  return explainTarget(method, target) ?? explainFields(fields, headEnd >= 0, version)
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

function isMethod(method: string): boolean {
  return TOKEN.test(method) && method === method.toUpperCase()
}

function explainTarget(method: string, target: string): Reason | undefined {
  try {
    if (method === 'CONNECT') parseAuthority(target)
    else parseRequestTarget(target)
    return undefined
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

// `fields` begins with the end of the request line.
function explainFields(fields: string, complete: boolean, version: string): Reason {
  if (!fields.startsWith('\r\n')) return 'malformed-header'
  const lines = fields.split('\r\n').slice(1, -1)
  // Bare CR or LF, folded lines, spaces before the colon, bad names: every one is the header's fault.
  for (const line of lines) {
    const colon = line.indexOf(':')
    // eslint-disable-next-line no-control-regex
    if (colon < 1 || !TOKEN.test(line.slice(0, colon)) || /[\x00-\x08\x0a-\x1f\x7f]/.test(line))
      return 'malformed-header'
  }
  if (!complete) return 'malformed-header'
  const hosts = countFields(lines, /^host:/i)
  if (hosts > 1) return 'duplicate-host'
  if (hosts === 0 && version === 'HTTP/1.1') return 'missing-host'
  const chunked = countFields(lines, /^transfer-encoding:[ \t]*chunked[ \t]*$/i)
  const framing = countFields(lines, /^(?:content-length|transfer-encoding):/i)
  // The fields are sound: what the parser did not like is the framing itself, or, in a chunked body, what is behind it.
  return chunked === 1 && framing === 1 ? 'malformed-body' : 'malformed-header'
}

function countFields(lines: readonly string[], pattern: RegExp): number {
  return lines.filter((line) => pattern.test(line)).length
}
