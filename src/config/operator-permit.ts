// Leave to dial exactly what a URL of the configuration says. Called by `sinks.ts` and `identity.ts`.

import { issueOperatorPermit } from '../net/issue-operator.ts'
import type { OperatorPermit } from '../net/permit.ts'
import { normalizeHost } from '../wire/authority.ts'

/** Makes the permit for an `http:` or `https:` URL. @param purpose the key that the URL is from */
export function permitUrl(purpose: string, url: URL): OperatorPermit {
  const tls = url.protocol === 'https:'
  return issueOperatorPermit({
    purpose,
    endpoint: { ...normalizeHost(url.hostname), port: Number(url.port) || (tls ? 443 : 80) },
    tls,
  })
}
