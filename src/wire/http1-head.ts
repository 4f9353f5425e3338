// Reads raw bytes where node's parser has refused them or has not seen them yet: why is this no request head, and could
// this be HTTP at all? Pure; called by `listen/`.

import type { Reason } from '../errors.ts'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const METHOD_LENGTH_MAX = 24

/**
 * Why these bytes are no request head that this proxy takes.
 * @param bytes from the first byte of the head; may go on behind it
 */
export function explainRequestHead(bytes: Uint8Array): Reason {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const lineEnd = text.search(/[\r\n]/)
  const line = lineEnd < 0 ? text : text.slice(0, lineEnd)
  const parts = line.split(' ')
  const [method = '', target = '', version = ''] = parts
  if (parts.length !== 3 || !isMethod(method) || target === '') return 'malformed-request-line'
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x20\x7f]/.test(target)) return 'malformed-request-line'
  if (!/^HTTP\/\d\.\d$/.test(version)) return 'malformed-request-line'
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') return 'unsupported-version'
  const headEnd = text.indexOf('\r\n\r\n')
  // The head is well formed as far as its lines go: what the parser did not like is behind it or in its framing.
  return explainFields(text.slice(lineEnd, headEnd < 0 ? undefined : headEnd + 2), headEnd >= 0)
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

function explainFields(fields: string, complete: boolean): Reason {
  const lines = fields.split('\r\n').slice(1, complete ? -1 : undefined)
  // Bare CR or LF, folded lines, spaces before the colon, bad names: every one is the header's fault.
  if (/^\r?\n/.test(fields) && !fields.startsWith('\r\n')) return 'malformed-header'
  const hosts = lines.filter((line) => /^host:/i.test(line)).length
  for (const line of lines) {
    const colon = line.indexOf(':')
    // eslint-disable-next-line no-control-regex
    if (colon < 1 || !TOKEN.test(line.slice(0, colon)) || /[\x00-\x08\x0a-\x1f\x7f]/.test(line))
      return 'malformed-header'
  }
  if (hosts > 1) return 'duplicate-host'
  const framing = lines.some((line) => /^(?:content-length|transfer-encoding):/i.test(line))
  if (!framing || !complete) return 'malformed-header'
  const chunked =
    lines.filter((line) => /^transfer-encoding:\s*chunked\s*$/i.test(line)).length === 1
  const lengths = lines.filter((line) => /^content-length:/i.test(line)).length
  return chunked && lengths === 0 ? 'malformed-body' : 'malformed-header'
}
