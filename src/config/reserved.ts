// Keys that the configuration will have and this version does not serve: refused by name, never ignored, so that nobody
// believes in a control that is not there. Data only; asked by `load.ts`.

/** Keys by the path of the object they stand in; `*` is any key or index. */
const RESERVED_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['pdp', 'fleet', 'console'],
  'control.principals.*': ['oidc'],
  task: ['parent', 'depth', 'heartbeat', 'hooks', 'require', 'credentials'],
  'task.identity': ['subject'],
  'credentials.*.source': ['gcp', 'azure', 'kubernetes'],
  'credentials.*.inject': ['body'],
  'sinks.*': ['loki', 'kafka', 'webhook'],
}

/** A reserved key that was written. */
export interface ReservedKey {
  readonly path: readonly (string | number)[]
}

/** Finds every reserved key of a document and takes it out of the copy that is returned. */
export function takeReservedKeys(value: unknown): {
  readonly value: unknown
  readonly found: readonly ReservedKey[]
} {
  const found: ReservedKey[] = []
  const strip = (node: unknown, path: readonly (string | number)[], pattern: string): unknown => {
    const below = (key: string | number): string =>
      pattern === '' ? String(key) : `${pattern}.${key}`
    if (Array.isArray(node)) {
      const anyIndex = below('*')
      return node.map((item: unknown, index) => strip(item, [...path, index], anyIndex))
    }
    if (typeof node !== 'object' || node === null) return node
    const reserved = RESERVED_KEYS[pattern] ?? []
    const kept: Record<string, unknown> = {}
    for (const [key, item] of Object.entries(node)) {
      if (reserved.includes(key)) found.push({ path: [...path, key] })
      else kept[key] = strip(item, [...path, key], below(pattern === 'credentials' ? '*' : key))
    }
    return kept
  }
  return { value: strip(value, [], ''), found }
}
