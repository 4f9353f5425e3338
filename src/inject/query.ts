// Query strings byte for byte: parameters found by their decoded names, the rest left as it was judged. Called by
// `screen.ts` and `prepare.ts`.

import { decodePercent } from '../wire/percent.ts'

/** One piece between ampersands. */
export interface QueryPart {
  /** As sent. */
  readonly text: string
  /** Decoded once, for comparing. */
  readonly name: string
  /** As sent. */
  readonly value: string
}

/** Splits a query into its parts, in order. */
export function splitQuery(query: string, separator: '&' | ';' = '&'): QueryPart[] {
  return query.split(separator).map((text) => {
    const at = text.indexOf('=')
    return at < 0
      ? { text, name: decodeName(text), value: '' }
      : { text, name: decodeName(text.slice(0, at)), value: text.slice(at + 1) }
  })
}

function decodeName(text: string): string {
  return decodePercent(text.includes('+') ? text.replaceAll('+', ' ') : text)
}
