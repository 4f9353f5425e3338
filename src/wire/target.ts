// The request target of RFC 9112 section 3.2, in the two forms a proxied request has. Pure; called by `receive.ts`.

import { EgressError } from '../errors.ts'
import { parseAuthority, type Endpoint } from './authority.ts'
import { readPath, type PathReadings } from './path.ts'

/** What a request target says. */
export interface RequestTarget {
  /** `ws` and `wss` are the HTTP they begin as; undefined in origin form. */
  readonly scheme: 'http' | 'https' | undefined
  /** Undefined in origin form. */
  readonly endpoint: Endpoint | undefined
  readonly path: PathReadings
  /** Without `?`; undefined where there is none. */
  readonly query: string | undefined
}

interface Scheme {
  readonly scheme: 'http' | 'https'
  readonly port: number
}

const HTTP: Scheme = { scheme: 'http', port: 80 }
const HTTPS: Scheme = { scheme: 'https', port: 443 }
const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['http', HTTP],
  ['https', HTTPS],
  ['ws', HTTP],
  ['wss', HTTPS],
])

/**
 * Reads a target in origin form (`/path?query`) or absolute form (`https://host/path?query`).
 * @throws malformed-target, malformed-port, scoped-ip, malformed-path
 */
export function parseRequestTarget(target: string): RequestTarget {
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x20\x7f#]/.test(target))
    throw new EgressError('malformed-target', { part: 'character' })
  if (target.startsWith('/'))
    return { scheme: undefined, endpoint: undefined, ...readPathAndQuery(target) }
  const schemeEnd = target.indexOf('://')
  const known = SCHEMES.get(target.slice(0, Math.max(schemeEnd, 0)).toLowerCase())
  if (!known) throw new EgressError('malformed-target', { part: 'form' })
  const afterScheme = target.slice(schemeEnd + 3)
  const authorityEnd = afterScheme.search(/[/?]/)
  const authority = authorityEnd < 0 ? afterScheme : afterScheme.slice(0, authorityEnd)
  const rest = authorityEnd < 0 ? '' : afterScheme.slice(authorityEnd)
  return {
    scheme: known.scheme,
    endpoint: parseAuthority(authority, known.port),
    ...readPathAndQuery(rest.startsWith('/') ? rest : `/${rest}`),
  }
}

function readPathAndQuery(text: string): Pick<RequestTarget, 'path' | 'query'> {
  const at = text.indexOf('?')
  if (at < 0) return { path: readPath(text), query: undefined }
  return { path: readPath(text.slice(0, at)), query: text.slice(at + 1) }
}
