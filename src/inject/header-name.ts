// Names of header fields as upstreams read them. Called in this room alone.

/** Reads a header's name as upstreams do that make variables of names: `X_Api_Key` is X-Api-Key to them. */
export function readHeaderName(name: string): string {
  const lower = name.toLowerCase()
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}
