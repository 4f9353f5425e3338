// What a client shows of itself in `Proxy-Authorization`: `Basic ID:TOKEN` as every client can send it in a proxy URL, or
// `Bearer TOKEN`. Pure. Called by `identify.ts`. @see RFC 7617, RFC 6750 section 2.1

import { EgressError } from '../errors.ts'
import type { RawHeaders } from '../wire/body.ts'

/** A proxy credential as it was sent. */
export interface ProxyCredential {
  /** Of `Basic` alone, where it is not empty. */
  readonly id: string | undefined
  readonly secret: string
}

const NAME = 'proxy-authorization'
// A workload token is the longest of them.
const CHARACTERS_MAX = 16 * 1024
const SCHEME = /^(basic|bearer) +([A-Za-z0-9+/_.~=-]+)$/i

/** Reads the credential; undefined where none was sent. @throws identity-unknown where it is not one credential */
export function readProxyCredential(headers: RawHeaders): ProxyCredential | undefined {
  let value: string | undefined
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (name.length !== NAME.length || name.toLowerCase() !== NAME) continue
    if (value !== undefined) throw new EgressError('identity-unknown', { why: 'sent twice' })
    value = headers[at + 1]!.trim()
  }
  if (value === undefined) return undefined
  if (value.length > CHARACTERS_MAX) throw new EgressError('identity-unknown', { why: 'too long' })
  const [, scheme = '', text = ''] = SCHEME.exec(value) ?? []
  if (scheme === '') throw new EgressError('identity-unknown', { why: 'neither Basic nor Bearer' })
  if (scheme.toLowerCase() === 'bearer') return { id: undefined, secret: text }
  const decoded = Buffer.from(text, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon < 0) throw new EgressError('identity-unknown', { why: 'no colon' })
  const id = decoded.slice(0, colon)
  return { id: id === '' ? undefined : id, secret: decoded.slice(colon + 1) }
}
