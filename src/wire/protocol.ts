// The versions of HTTP that TLS negotiates, by their names in ALPN. Pure.

/** A protocol's name in ALPN (RFC 7301, RFC 9113 section 3.1). */
export type HttpProtocol = 'h2' | 'http/1.1'

/** HTTP/1.1 alone. */
export const HTTP1_ONLY: readonly HttpProtocol[] = ['http/1.1']
/** Both, the newer one first. */
export const HTTP2_FIRST: readonly HttpProtocol[] = ['h2', 'http/1.1']
