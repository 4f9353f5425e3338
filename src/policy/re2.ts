// The regular expressions of rules, RE2: linear in the text, whatever was written. The library is loaded by the first
// expression: most rules have none. Pure; called by what reads and matches parameters.

import { createRequire } from 'node:module'

import type * as Library from 're2js'

const require = createRequire(import.meta.url)
let loaded: typeof Library | undefined

/** Compiles an expression. @returns it, or what is wrong with it */
export function compileRe2(written: string): Library.RE2JS | { readonly fault: string } {
  // Synchronous: rules are judged in one go.
  const library: typeof Library = (loaded ??= require('re2js'))
  try {
    return library.RE2JS.compile(written)
  } catch (error) {
    if (!(error instanceof library.RE2JSSyntaxException)) throw error
    return { fault: error.getDescription() }
  }
}
