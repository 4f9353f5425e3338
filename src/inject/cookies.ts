// A credential as one cookie among others: the pairs of Cookie fields found by name as lenient servers read them, and written anew.
// Crumbs of HTTP/2 are fields of their own, and stay so. Called by `screen.ts` and `prepare.ts`.

import { decodePercent } from '../wire/percent.ts'

/** RFC 6265 section 4.1.1. */
const COOKIE_VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/

/** One pair of a Cookie field. */
export interface CookiePair {
  /** As sent, without space around it. */
  readonly text: string
  readonly name: string
  readonly value: string
}

/** Whether a text may stand as a cookie's value unchanged. */
export function isCookieValue(text: string): boolean {
  return COOKIE_VALUE.test(text)
}

/** Splits a Cookie field into its pairs. */
export function splitCookies(field: string): CookiePair[] {
  return field
    .split(';')
    .map((part) => part.trim())
    .filter((text) => text !== '')
    .map((text) => {
      const at = text.indexOf('=')
      return at < 0
        ? { text, name: text, value: '' }
        : { text, name: text.slice(0, at).trim(), value: text.slice(at + 1).trim() }
    })
}

/** Tells whether a pair is, or hides, a cookie of a name: some servers unescape names, and part at commas. */
export function isCookie({ text, name }: CookiePair, sought: string): boolean {
  if (name === sought || decodePercent(name) === sought) return true
  return text.includes(',') && text.split(',').some((part) => nameOf(part) === sought)
}

function nameOf(part: string): string {
  const [name = ''] = part.split('=')
  return decodePercent(name.trim())
}
