// Leave to dial exactly what the configuration says. Called by `hooks.ts`, `identity.ts` and `sinks/`.

import { issueOperatorPermit } from '../net/issue-operator.ts'
import type { OperatorPermit } from '../net/permit.ts'
import { normalizeHost, type Endpoint } from '../wire/authority.ts'

/** Makes the permit for an `http:` or `https:` URL. @param purpose the key that the URL is from */
export function permitUrl(purpose: string, url: URL): OperatorPermit {
  const tls = url.protocol === 'https:'
  return issueOperatorPermit({
    purpose,
    endpoint: { ...normalizeHost(url.hostname), port: Number(url.port) || (tls ? 443 : 80) },
    tls,
  })
}

/** Makes the permit for a host and port of no URL. @param purpose the key that they are from */
export function permitEndpoint(purpose: string, endpoint: Endpoint, tls: boolean): OperatorPermit {
  return issueOperatorPermit({ purpose, endpoint, tls })
}
