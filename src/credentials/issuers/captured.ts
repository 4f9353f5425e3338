// Tokens that a client in the sandbox asked for and never saw: nothing is minted here, what came back is put in place by
// `brokering/capture.ts` and taken back here. Made by `config/credentials/issuers.ts`.

import {
  ProviderError,
  type CapturedToken,
  type Issuer,
  type Minted,
  type Revocation,
  type RevocationHandle,
} from '../issuer.ts'
import { handleOf, revokeHandle } from './oauth.ts'
import type { OAuthServer } from './oauth-server.ts'

/** Takes back what was captured. */
export class CapturedIssuer implements Issuer {
  readonly isStatic = false
  readonly #server: OAuthServer | undefined

  /** @param server where it is taken back; undefined: nowhere */
  constructor(server: OAuthServer | undefined) {
    this.#server = server
  }

  mint(): Promise<Minted> {
    return Promise.reject(new ProviderError('the task has asked for no token yet'))
  }

  /** What was captured as what is minted is. */
  take({ token, expiresAt }: CapturedToken): Minted {
    const handle = handleOf(token, this.#server?.revocationUrl)
    return { material: { value: token }, expiresAt, handle }
  }

  async revoke(handle: RevocationHandle, signal: AbortSignal): Promise<Revocation> {
    if (this.#server === undefined)
      throw new ProviderError('nothing takes it back', { isLasting: true })
    return revokeHandle(this.#server, handle, signal)
  }
}
