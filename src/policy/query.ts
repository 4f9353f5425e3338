// The readings of a query: the ways in which upstreams may understand the same bytes, as `wire/path.ts` has them for paths.
// Pure; asked only where a rule has `query`. Called by `match.ts`.

/** Names and values in order, decoded; `unreadable` where the escapes are broken or the bytes are not UTF-8. */
export type QueryReading = readonly (readonly [name: string, value: string])[] | 'unreadable'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads a query in every way: separated by `&`, or by `&` and `;`; `+` a space, or itself; decoded once, or twice.
 * @param query without `?`, latin1 as it was sent; undefined where there is none
 * @returns distinct readings, the plain one (`&`, `+` a space, decoded once) first
 */
export function readQuery(query: string | undefined): readonly QueryReading[] {
  if (query === undefined || query === '') return [[]]
  const separators = query.includes(';') ? [/&/, /[&;]/] : [/&/]
  const plus = query.includes('+') ? [' ', '+'] : [' ']
  const found = new Map<string, QueryReading>()
  for (const separator of separators)
    for (const space of plus)
      for (const reading of readOneWay(query.split(separator), space))
        found.set(JSON.stringify(reading), reading)
  return [...found.values()]
}

function readOneWay(fields: readonly string[], space: string): QueryReading[] {
  const once: [string, string][] = []
  const twice: [string, string][] = []
  for (const field of fields) {
    if (field === '') continue
    const at = field.indexOf('=')
    const name = decode(at < 0 ? field : field.slice(0, at), space)
    const value = decode(at < 0 ? '' : field.slice(at + 1), space)
    if (name === undefined || value === undefined) return ['unreadable']
    once.push([name, value])
    twice.push([decodeAgain(name, space), decodeAgain(value, space)])
  }
  return [once, twice]
}

function decode(text: string, space: string): string | undefined {
  const spaced = text.replaceAll('+', space)
  if (/^[\x20-\x24\x26-\x7e]*$/.test(spaced)) return spaced
  if (/%(?![0-9A-Fa-f]{2})/.test(spaced)) return undefined
  const bytes = spaced.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return undefined
  }
}

// The second time a percent sign that is no escape stays one: `100%` is a value like any other.
function decodeAgain(text: string, space: string): string {
  if (!text.includes('%')) return text
  return decode(Buffer.from(text, 'utf8').toString('latin1'), space) ?? text
}
