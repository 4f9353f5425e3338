// The providers of credentials as the configuration names them: each origin with leave to be dialed, and what is kept outside
// the configuration to prove oneself to them. Called by `issuers.ts`.

import type { OpenProvider, Provider, ProviderRequest } from '../../credentials/issuer.ts'
import { ProviderError } from '../../credentials/issuer.ts'
import { EgressError } from '../../errors.ts'
import type { Limits } from '../../limits.ts'
import type { Dialer } from '../../net/dial.ts'
import { HttpAsker } from '../../net/http-client.ts'
import type { TlsClient } from '../../net/upstream-tls.ts'
import { permitUrl } from '../operator-permit.ts'

// Of one credential: what is minted (`mintsAtOnceMax`) beside what is taken back, so that one question holds up no other.
const CONNECTIONS_MAX = 64

/** What asking providers needs. */
export interface ProviderParts {
  /** Asked for once something is to be dialed. */
  readonly dialer: () => Dialer
  readonly limits: Pick<Limits, 'providerTimeoutMs' | 'providerAnswerBytesMax'>
}

/**
 * Makes what opens the providers that one key of the configuration names, one an origin.
 * @param key of the configuration, such as `credentials.github.source`
 */
export function providersOf(
  key: string,
  { dialer, limits }: ProviderParts,
  tlsClient?: TlsClient,
): OpenProvider {
  const { providerTimeoutMs: timeoutMs, providerAnswerBytesMax: bodyBytesMax } = limits
  const bounds = {
    timeoutMs,
    bodyBytesMax,
    connectionsMax: CONNECTIONS_MAX,
    ...(tlsClient && { tlsClient }),
  }
  const opened = new Map<string, Provider>()
  return (url) => {
    let provider = opened.get(url.origin)
    if (provider === undefined) {
      const asker = new HttpAsker(dialer(), permitUrl(key, url), bounds)
      provider = { ask: (request) => ask(asker, request) }
      opened.set(url.origin, provider)
    }
    return provider
  }
}

async function ask(asker: HttpAsker, request: ProviderRequest): ReturnType<Provider['ask']> {
  try {
    return await asker.ask(request)
  } catch (error) {
    const why =
      error instanceof EgressError
        ? `the provider: ${error.reason}`
        : 'the provider does not answer'
    // Where dialing failed nothing was sent.
    throw new ProviderError(why, { cause: error, isUnanswered: !(error instanceof EgressError) })
  }
}
