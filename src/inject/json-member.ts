// A credential as a member of a JSON body: in place of what the client has there, else behind the other members of its object, which
// must be there; the rest stays byte for byte. A body that two could read differently is refused. Called through `finish.ts`; members
// are taken out for `drop-from-body.ts`.

import type { Injection } from '../credentials/definition.ts'
import { EgressError } from '../errors.ts'
import { readJson } from '../inspect/json.ts'
import { checkBodyHead } from './body-head.ts'
import type { Finisher } from './finisher.ts'
import { revealForBody, type EditedBody } from './form.ts'
import { locate, type Located } from './json-locate.ts'
import { unavailable } from './unavailable.ts'

type JsonInjection = Extract<Injection, { readonly kind: 'json' }>

/** Puts a credential into a JSON body. */
export const jsonFinisher: Finisher<JsonInjection> = {
  needsBody: () => true,
  finish({ pointer }, { headers, path }, body = new Uint8Array(), secret) {
    checkBodyHead('json', headers, secret.name)
    const value = revealForBody(secret)
    const edited = setMember(body, pointer, value)
    if (edited === undefined) throw unavailable(secret.name, 'its place in the body is not there')
    return { headers, path, body: edited.bytes, isReplaced: edited.stood }
  },
}

/**
 * Sets a member; undefined where the object that it would be in is not there.
 * @throws malformed-body where the bytes are not JSON that all read alike
 */
export function setMember(
  body: Uint8Array,
  pointer: readonly string[],
  value: string,
): EditedBody | undefined {
  const text = read(body)
  const found = find(text, pointer)
  if (found === undefined) return undefined
  const { name, at, end } = found
  const written = JSON.stringify(value)
  if (found.kind === 'value') return edit(text, at, end, written, true)
  const member = `${JSON.stringify(name)}:${written}`
  return edit(text, at, at, found.isEmpty ? member : `,${member}`, false)
}

/** Takes a member out. @throws malformed-body where the bytes are not JSON that all read alike */
export function dropMember(body: Uint8Array, pointer: readonly string[]): EditedBody {
  const text = read(body)
  const found = find(text, pointer)
  if (found?.kind !== 'value') return { bytes: body, stood: false }
  // A place in a list keeps its neighbours where they are.
  if (found.memberAt === undefined) return edit(text, found.at, found.end, 'null', true)
  return edit(text, found.memberAt, found.memberEnd, '', true)
}

// Byte by byte as characters, so that what is found lies where it lies in the bytes.
function read(body: Uint8Array): string {
  readJson(body)
  return Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1')
}

function find(text: string, pointer: readonly string[]): Located | undefined {
  const found = locate(text, pointer)
  if (found === 'doubtful')
    throw new EgressError('malformed-body', { part: 'json', why: 'key in another spelling' })
  return found
}

function edit(text: string, at: number, end: number, written: string, stood: boolean): EditedBody {
  return { bytes: Buffer.from(text.slice(0, at) + written + text.slice(end), 'latin1'), stood }
}
