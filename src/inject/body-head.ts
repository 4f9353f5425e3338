// What a head says of the body that a credential goes into: that it is of the kind, plain, and that nothing else in the head speaks
// of its bytes. Called by the finishers of bodies and by `drop-from-body.ts`.

import { isIdentityCoded } from '../inspect/mcp/content-type.ts'
import type { RawHeaders } from '../wire/body.ts'
import { hasHeader, valuesOf } from '../wire/headers.ts'
import { unavailable } from './unavailable.ts'

/** The kinds of bodies that have places. */
export type BodyKind = 'form' | 'json'

// In another character set the same bytes say something else.
const TYPES: Readonly<Record<BodyKind, RegExp>> = {
  form: /^application\/x-www-form-urlencoded[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8"))?[ \t]*;?$/i,
  json: /^application\/(?:[\w.-]+\+)?json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8"))?[ \t]*;?$/i,
}
const WORDS: Readonly<Record<BodyKind, RegExp>> = { form: /urlencoded/i, json: /json/i }
const DIGESTS = ['content-md5', 'digest', 'content-digest', 'repr-digest']

/** Whether a body is plainly of a kind: by its one Content-Type, in UTF-8, not coded. */
export function isPlainBody(kind: BodyKind, headers: RawHeaders): boolean {
  const [type = '', ...others] = valuesOf(headers, 'content-type')
  return others.length === 0 && TYPES[kind].test(type) && isIdentityCoded(headers)
}

/** Whether somebody may take a body for one of a kind. */
export function mayBeBody(kind: BodyKind, headers: RawHeaders): boolean {
  return valuesOf(headers, 'content-type').some((type) => WORDS[kind].test(type))
}

/** The field that says a digest of the body, which is another once something goes into it; undefined where none does. */
export function findDigest(headers: RawHeaders): string | undefined {
  return DIGESTS.find((name) => hasHeader(headers, name))
}

/** Refuses a body that a credential cannot go into. @throws credential-unavailable */
export function checkBodyHead(kind: BodyKind, headers: RawHeaders, credential: string): void {
  if (!isPlainBody(kind, headers))
    throw unavailable(credential, `its place is in a body that is plain ${kind}`)
  if (findDigest(headers) !== undefined)
    throw unavailable(credential, 'the head says a digest of the body that it goes into')
}
