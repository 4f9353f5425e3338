// Sets a header of ours in a head that is otherwise written. Called by the finishers that sign.

import { readHeaderName } from './header-name.ts'

/** The head with one field of the name, ours, and none that somebody could take for it. */
export function setHeader(headers: readonly string[], name: string, value: string): string[] {
  const read = readHeaderName(name)
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2)
    if (readHeaderName(headers[at]!) !== read) kept.push(headers[at]!, headers[at + 1]!)
  return [...kept, name, value]
}

/** Whether a client has a field of one of the names, in any spelling. */
export function hasAny(headers: readonly string[], names: readonly string[]): boolean {
  const read = new Set(names.map(readHeaderName))
  return headers.some((text, at) => at % 2 === 0 && read.has(readHeaderName(text)))
}
