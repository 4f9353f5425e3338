// The one name that belongs to the proxy itself: what is asked of it is answered here, whatever rules say, and it is resolved
// and dialed by nobody. Pure. Called by `pipeline.ts`, `net/`, `policy/` and whoever reads records again.

import type { Endpoint } from './authority.ts'

/** The reserved name, in normal form. */
export const OWN_HOST = 'sallyport.internal'

/** Where it is answered: cleartext alone, as nothing of it leaves the machine. */
const OWN_PORT = 80

/** Whether a host in normal form is the proxy's own name. */
export function isOwnHost(host: string): boolean {
  return host === OWN_HOST
}

/** Why the proxy is not asked in this way; undefined where it is. */
export function ownHostFault(
  { port }: Pick<Endpoint, 'port'>,
  scheme: 'http' | 'https',
): 'protocol-not-allowed' | 'port-not-allowed' | undefined {
  if (port === OWN_PORT && scheme === 'http') return undefined
  return port === OWN_PORT || port === 443 ? 'protocol-not-allowed' : 'port-not-allowed'
}
