// The fields of a head or of trailers without values of credentials. Called by `scrub-response.ts`, and by `brokering/` for heads
// that have no body.

import type { RawHeaders } from '../../wire/body.ts'
import { FORM_BYTES_MIN } from './form-finder.ts'
import { Scrubber } from './scrubber.ts'
import type { EchoPlace, Watch } from './watch.ts'

/** The same texts where no value is in them; asterisks are valid in every name and value. @param texts latin1 */
export function scrubTexts(texts: RawHeaders, watch: Watch, place: EchoPlace): RawHeaders {
  const finder = watch.finder()
  let found: Set<string> | undefined
  const scrub = (text: string): Uint8Array =>
    new Scrubber(finder, (credential) => {
      found ??= new Set()
      found.add(credential)
    }).scrub(Buffer.from(text, 'latin1'))
  // All at once first: mostly there is nothing.
  scrub(texts.join('\n'))
  if (found === undefined) return texts
  for (const credential of found) watch.onFound(credential, place)
  return texts.map((text) =>
    text.length < FORM_BYTES_MIN ? text : Buffer.from(scrub(text)).toString('latin1'),
  )
}
