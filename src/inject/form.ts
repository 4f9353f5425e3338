// A credential as a field of a form, `application/x-www-form-urlencoded`: in place of what the client has there, else behind all the
// rest, which stays byte for byte. What some server could read as the same field once more is refused. Called through `finish.ts`;
// fields are taken out for `drop-from-body.ts`.

import type { Injection } from '../credentials/definition.ts'
import { reveal } from '../credentials/reveal.ts'
import { EgressError } from '../errors.ts'
import { checkBodyHead } from './body-head.ts'
import type { Finisher } from './finisher.ts'
import { readLoosely } from './loose-name.ts'
import { splitQuery, type QueryPart } from './query.ts'
import { unavailable } from './unavailable.ts'

type FormInjection = Extract<Injection, { readonly kind: 'form' }>

/** A body with something put in or taken out. */
export interface EditedBody {
  readonly bytes: Uint8Array
  /** Whether something stood there. */
  readonly stood: boolean
}

// Control characters as well: they are escaped.
// eslint-disable-next-line no-control-regex
const ASCII = /^[\x00-\x7f]+$/

/** Puts a credential into a form. */
export const formFinisher: Finisher<FormInjection> = {
  needsBody: () => true,
  finish({ field }, { headers, path }, body = new Uint8Array(), secret) {
    checkBodyHead('form', headers, secret.name)
    const value = revealForBody(secret)
    const { bytes, stood } = setField(body, field, value)
    return { headers, path, body: bytes, isReplaced: stood }
  },
}

/** The value of what goes into a body. @throws credential-unavailable where it is nothing that all read alike */
export function revealForBody(secret: Parameters<typeof reveal>[0]): string {
  const value = reveal(secret, 'inject into a body')
  if (!ASCII.test(value)) throw unavailable(secret.name, 'the value is no plain text')
  return value
}

/** Sets a field. @throws malformed-body where it is there twice, or in another spelling */
export function setField(body: Uint8Array, field: string, value: string): EditedBody {
  const parts = split(body)
  const written = `${encodeURIComponent(field)}=${encodeURIComponent(value)}`
  const texts: string[] = []
  let stood = false
  for (const part of parts) {
    if (part.name === field && !stood && !hidesField(part, field)) {
      texts.push(written)
      stood = true
    } else if (isField(part, field)) throw doubtful('field twice')
    else texts.push(part.text)
  }
  if (!stood) texts.push(written)
  return { bytes: join(texts), stood }
}

/** Takes a field out in every spelling. */
export function dropField(body: Uint8Array, field: string): EditedBody {
  const parts = split(body)
  const kept = parts.filter((part) => !isField(part, field))
  if (kept.length === parts.length) return { bytes: body, stood: false }
  return { bytes: join(kept.map(({ text }) => text)), stood: true }
}

function split(body: Uint8Array): QueryPart[] {
  if (body.length === 0) return []
  return splitQuery(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'))
}

function join(texts: readonly string[]): Uint8Array {
  return Buffer.from(texts.join('&'), 'latin1')
}

function isField(part: QueryPart, field: string): boolean {
  return readLoosely(part.name) === readLoosely(field) || hidesField(part, field)
}

// Some servers part at semicolons too.
function hidesField({ text }: QueryPart, field: string): boolean {
  if (!text.includes(';')) return false
  const [, ...others] = splitQuery(text, ';')
  return others.some(({ name }) => readLoosely(name) === readLoosely(field))
}

function doubtful(why: string): EgressError {
  return new EgressError('malformed-body', { part: 'form', why })
}
