// Where a client of the control API connects to: an address as it is written becomes what node connects by. Pure; called by
// `client.ts`.

import type { RequestOptions as HttpsOptions } from 'node:https'

/** What node connects by. */
export interface Target {
  readonly isSecure: boolean
  readonly connection: HttpsOptions
}

/** TLS as a client of the control API has it, in PEM. */
export interface ClientTls {
  /** The roots that the listener's certificate comes from; default: the public ones. */
  readonly ca?: string
  /** The principal's own certificate, with `key`. */
  readonly cert?: string
  readonly key?: string
  /** The name that the listener's certificate must bear, where it is not the address. */
  readonly serverName?: string
}

/** Reads `unix:PATH`, `HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`. @throws Error where it is none of them */
export function readTarget(address: string, tls: ClientTls | undefined): Target {
  if (address.startsWith('unix:')) {
    return { isSecure: false, connection: { socketPath: address.slice('unix:'.length) } }
  }
  const written = address.includes('://') ? address : `${tls ? 'https' : 'http'}://${address}`
  const url = URL.canParse(written) ? new URL(written) : undefined
  const isSecure = url?.protocol === 'https:'
  const isPlain = url?.pathname === '/' && url.search === '' && url.username === ''
  if (url === undefined || !isPlain || (!isSecure && url.protocol !== 'http:'))
    throw new Error(`${address} is no address of a control API: unix:PATH, HOST:PORT or https://…`)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = Number(url.port === '' ? (isSecure ? 443 : 80) : url.port)
  if (!isSecure) {
    // A token, and what it opens, would be anybody's on the way.
    if (!/^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host))
      throw new Error(`${address} is beyond this machine: write https://`)
    return { isSecure, connection: { host, port } }
  }
  const { serverName: servername, ...material } = tls ?? {}
  return { isSecure, connection: { host, port, ...material, ...(servername && { servername }) } }
}
