// Signs a request by a keyed hash of a text that is made of its fields. What the client has at the places of the signature, its time,
// its nonce and its key's name is not sent. Called through `finish.ts`.

import { createHash, createHmac, randomBytes, type Hmac } from 'node:crypto'

import type { HmacInjection, SignedField } from '../credentials/signing.ts'
import { formatAuthority } from '../wire/authority.ts'
import { valuesOf } from '../wire/headers.ts'
import type { Finisher, Unfinished } from './finisher.ts'
import { hasAny, setHeader } from './set-header.ts'
import { hashKeyOf } from './signing-key.ts'

const NONCE_BYTES = 16

/** Names the headers that such a signature writes. */
export function hmacHeaders({ header, timestamp, nonce, keyId }: HmacInjection): string[] {
  const others = [timestamp?.header, nonce?.header, keyId?.header]
  return [header, ...others.filter((name) => name !== undefined)]
}

/** Signs by a keyed hash. */
export const hmacFinisher: Finisher<HmacInjection> = {
  needsBody: ({ text }) =>
    text.some((piece) => 'field' in piece && /^body(?:\.|$)/.test(piece.field)),
  finish(inject, request, body = new Uint8Array(), secret) {
    const { algorithm, encoding, header, format, timestamp, nonce, keyId } = inject
    const said = {
      timestamp: timestamp ? writeTime(request.now, timestamp.format) : '',
      nonce: nonce ? randomBytes(NONCE_BYTES).toString('hex') : '',
    }
    let { headers } = request
    if (timestamp) headers = setHeader(headers, timestamp.header, said.timestamp)
    if (nonce) headers = setHeader(headers, nonce.header, said.nonce)
    if (keyId) headers = setHeader(headers, keyId.header, keyId.value)
    const hmac = createHmac(algorithm, hashKeyOf(secret))
    for (const piece of inject.text)
      if ('text' in piece) hmac.update(piece.text)
      else addField(hmac, piece.field, { ...request, headers }, said, body)
    const signature = hmac.digest(encoding)
    return {
      headers: setHeader(
        headers,
        header,
        format.replace('{}', () => signature),
      ),
      path: request.path,
      isReplaced: hasAny(request.asked.headers, hmacHeaders(inject)),
    }
  },
}

function addField(
  hmac: Hmac,
  field: SignedField,
  { method, endpoint, scheme, headers, path }: Unfinished,
  said: { readonly timestamp: string; readonly nonce: string },
  body: Uint8Array,
): void {
  const [, pathOnly = '', query = ''] = /^([^?]*)(?:\?(.*))?$/s.exec(path) ?? []
  if (field === 'body') hmac.update(body)
  else if (field === 'body.sha256') hmac.update(createHash('sha256').update(body).digest('hex'))
  else if (field === 'timestamp' || field === 'nonce') hmac.update(said[field])
  else if (field === 'method') hmac.update(method)
  else if (field === 'host')
    hmac.update(formatAuthority(endpoint, scheme === 'https' ? 443 : 80), 'latin1')
  else if (field === 'path') hmac.update(pathOnly, 'latin1')
  else if (field === 'query') hmac.update(query, 'latin1')
  else hmac.update(valuesOf(headers, field.slice('header:'.length)).join(', '), 'latin1')
}

function writeTime(now: number, format: 'unix' | 'iso'): string {
  const seconds = Math.floor(now / 1000)
  return format === 'unix'
    ? String(seconds)
    : new Date(seconds * 1000).toISOString().replace('.000', '')
}
