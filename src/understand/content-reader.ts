// Loads what reads bodies that are written down when the first test of a rule file has one: a start must not wait for it. Called
// by `config/rules.ts`.

import type { ReadBody } from '../policy/rule-tests.ts'
import { loadNow } from '../program.ts'
import type * as ContentReader from './read-content.ts'

let reader: typeof ContentReader | undefined

/** Reads bodies that are written down as those of live calls are read. */
export const readContentLater: ReadBody = (...given) => {
  reader ??= loadNow<typeof ContentReader>('understand/read-content')
  return reader.readContent(...given)
}
