// Where a JWT stands in a head: behind `Bearer`, or as the password of `Basic`, since most clients can do no other to a proxy.
// Pure; called by `identify.ts`.

import type { RawHeaders } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import { JwtVerifier } from './jwt.ts'

/** The JWT of a head's one proxy credential; undefined where that is something else, or not one. */
export function readProxyJwt(headers: RawHeaders): string | undefined {
  const values = valuesOf(headers, 'proxy-authorization')
  const match = values.length === 1 ? /^(bearer|basic) +([^ ]+) *$/i.exec(values[0]!) : null
  if (match === null) return undefined
  const [, scheme = '', text = ''] = match
  const credential = scheme.toLowerCase() === 'bearer' ? text : passwordOf(text)
  return credential !== undefined && JwtVerifier.resembles(credential) ? credential : undefined
}

function passwordOf(text: string): string | undefined {
  const pair = Buffer.from(text, 'base64').toString('latin1')
  const colon = pair.indexOf(':')
  return colon < 0 ? undefined : pair.slice(colon + 1)
}
