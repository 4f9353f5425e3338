// Where the old transport's server tells its client to post messages: only to itself. Pure text; called by `exchange.ts`.

import { refusal } from './messages.ts'

/** An endpoint of the same origin. */
export interface Endpoint {
  readonly path: string
  /** With its question mark, or empty. */
  readonly query: string
}

// No character that clients resolve in different ways: no backslash, no space, nothing but ASCII.
const REFERENCE = /^[\w\-.~!$&'()*+,;=:@%/?]{1,8192}$/
// A dot segment to some, a name to others: what is posted there would be another path than the one that is remembered.
const ESCAPED_DOTS = /(?:^|\/)(?:%2e|\.%2e|%2e\.|%2e%2e)(?:[/?]|$)/i
const SCHEME = /^[a-z][a-z0-9+.-]*:/i

/**
 * Reads the data of an `endpoint` event.
 * @param origin of the call, such as `https://mcp.example.com`
 * @param path of the call, which relative references begin at
 * @throws response-malformed where it leads to another origin
 */
export function readEndpoint(data: string, origin: string, path: string): Endpoint {
  const isAbsolute = SCHEME.test(data)
  const base = `${origin}${path}`
  if (
    !REFERENCE.test(data) ||
    ESCAPED_DOTS.test(data) ||
    data.startsWith('//') ||
    !URL.canParse(data, base)
  )
    throw refusal('to-client', 'endpoint')
  const url = new URL(data, base)
  const isSame = url.origin === new URL(origin).origin && url.username === '' && url.password === ''
  // `https:evil` is a path to some and a host to others.
  if (!isSame || (isAbsolute && !/^https?:\/\/[^/]/i.test(data)))
    throw refusal('to-client', 'endpoint')
  return { path: url.pathname, query: url.search }
}
