// Loads what reads bodies that are written down when the first test of a rule file has one: a start must not wait for it. Called
// by `config/rules.ts`.

import { createRequire } from 'node:module'

import type { ReadBody } from '../policy/rule-tests.ts'
import type * as ContentReader from './read-content.ts'

const require = createRequire(import.meta.url)
// As a built module it has the other ending, which nobody rewrites here.
const ENDING = import.meta.url.slice(import.meta.url.lastIndexOf('.'))

let reader: typeof ContentReader | undefined

/** Reads bodies that are written down as those of live calls are read. */
export const readContentLater: ReadBody = (...given) => {
  reader ??= load()
  return reader.readContent(...given)
}

function load(): typeof ContentReader {
  // oxlint-disable-next-line typescript/no-unsafe-return -- it is the module whose type this is
  return require(`./read-content${ENDING}`)
}
