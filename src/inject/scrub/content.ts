// What a body is to a scrub: text, where a value can be replaced, or other content, which would be broken by it. By its head, or
// by its first bytes where the head does not say. Called by `scrub-response.ts`.

import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'

/** `unsaid`: the first bytes tell. */
export type ContentKind = 'text' | 'other' | 'unsaid'

const SNIFFED_BYTES = 512
const TEXT =
  /^(?:text\/.+|.+\+(?:json|xml|yaml)|application\/(?:.*json.*|xml|.*javascript|ecmascript|.*yaml|toml|graphql|sql|x-www-form-urlencoded|x-sh|xml-dtd|jose|jwt))$/
// Of text in ASCII and what is written like it; whatever else is below a space is in no text.
const CONTROLS: ReadonlySet<number> = new Set([0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x1b])

/** What the head says that a body is; `other` also where it says two things. */
export function contentKind(headers: RawHeaders): ContentKind {
  const values = valuesOf(headers, 'content-type')
  const [value = ''] = values
  const type = value.split(';', 1)[0]!.trim().toLowerCase()
  if (values.length > 1) return 'other'
  if (type === '') return 'unsaid'
  return TEXT.test(type) ? 'text' : 'other'
}

/** Whether a body is text by its first bytes. */
export function looksLikeText(bytes: Uint8Array): boolean {
  return bytes.subarray(0, SNIFFED_BYTES).every((byte) => byte >= 0x20 || CONTROLS.has(byte))
}
