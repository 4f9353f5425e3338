// Names of parameters as frameworks read them. Called in this room alone.

import { decodePercent } from '../wire/percent.ts'

/** Reads a name as what makes variables, lists and objects of fields does: `Api.Key`, `api_key[]`, ` api_key`, `[api_key]`. */
export function readLoosely(name: string): string {
  const decoded = decodePercent(decodePercent(name))
  const [first = ''] = decoded.replace(/^[\s[\]]+/, '').split(/[[\]\0]/)
  return first.trim().toLowerCase().replaceAll(/[ .-]/g, '_')
}
