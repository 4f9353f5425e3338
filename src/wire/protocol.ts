// The versions of HTTP that TLS negotiates, by their names in ALPN. Pure.

/** A protocol's name in ALPN (RFC 7301, RFC 9113 section 3.1). */
export type HttpProtocol = 'h2' | 'http/1.1'

/** HTTP/1.1 alone. */
export const HTTP1_ONLY: readonly HttpProtocol[] = ['http/1.1']
/** Both, the newer one first. */
export const HTTP2_FIRST: readonly HttpProtocol[] = ['h2', 'http/1.1']

/**
 * What to offer a client by ALPN, the best first.
 * @param alpn names that the client offers
 * @param ask what the upstream speaks: called only for a client that leaves the choice
 */
export async function offerTo(
  alpn: readonly string[],
  ask: (() => Promise<readonly HttpProtocol[]>) | undefined,
): Promise<readonly HttpProtocol[]> {
  if (!alpn.includes('h2')) return HTTP1_ONLY
  return ask === undefined || !alpn.includes('http/1.1') ? HTTP2_FIRST : ask()
}
