// A body as the JSON that it is, for conditions: where its head says so, it is small, and nobody could read it differently.
// Deliberately no fault where it is not: then there is no JSON to ask about. Called by `understand/`.

import { EgressError } from '../errors.ts'
import type { BodySubject } from '../policy/subject.ts'
import type { RawHeaders } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import { readJson } from './json.ts'
import { isIdentityCoded } from './mcp/content-type.ts'

// As a form, or as a text in another character set, the same bytes say something else.
const JSON_TYPE =
  /^application\/(?:[\w.-]+\+)?json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8"))?[ \t]*;?$/i

/** Reads a whole body; undefined where it is no plain JSON of at most so many bytes. */
export function readJsonBody(
  headers: RawHeaders,
  bytes: Uint8Array,
  bytesMax: number,
): BodySubject | undefined {
  if (bytes.length === 0 || bytes.length > bytesMax || !isIdentityCoded(headers)) return undefined
  const [type = '', ...others] = valuesOf(headers, 'content-type')
  if (others.length > 0 || !JSON_TYPE.test(type)) return undefined
  try {
    return { json: readJson(bytes) }
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}
