// One authorization server as one client of it: where its endpoints are, tokens asked for and taken back. All goes through
// `Provider.ask`: no redirect is followed, no socket opened here. What it says is checked by `oauth4webapi`, and told in our
// words. Called by `oauth.ts` and `captured.ts`.

import type * as OAuth from 'oauth4webapi'

import type { OAuthClientDefinition, OAuthServerDefinition } from '../source-definition.ts'
import { ProviderError, type OpenProvider, type ReadLocal, type Revocation } from '../issuer.ts'
import { read, responseOf, withoutIdToken } from './oauth-answer.ts'
import { errorOf } from './oauth-errors.ts'
import { ProviderClock } from './provider-clock.ts'
import { readSigningKey } from './signing-key.ts'

/** What talking to one needs. */
export interface OAuthServerOptions {
  readonly server: OAuthServerDefinition
  readonly client: OAuthClientDefinition
  readonly provider: OpenProvider
  /** The secret, or the key in PEM; undefined: the client proves nothing. */
  readonly proof: ReadLocal | undefined
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** A token as it was given. */
export interface GivenToken {
  readonly token: string
  /** In seconds from the question on; undefined: it does not say. */
  readonly expiresIn: number | undefined
  readonly refreshToken: string | undefined
  /** Undefined: what was asked for. */
  readonly scope: readonly string[] | undefined
  /** A URI, where a token was exchanged. */
  readonly issuedType: string | undefined
}

/** How the library sends: by what it is given, and nothing else. */
interface Transport {
  readonly [OAuth.allowInsecureRequests]: true
  readonly [OAuth.customFetch]: (
    url: string,
    request: {
      readonly method: 'GET' | 'POST'
      readonly headers: Record<string, string>
      readonly body?: URLSearchParams | undefined
    },
  ) => Promise<Response>
}

/** What of its metadata is used. */
type Metadata = { -readonly [Key in (typeof ENDPOINTS)[number]]?: string } & {
  readonly issuer: string
}

const ENDPOINTS = ['token_endpoint', 'revocation_endpoint', 'introspection_endpoint'] as const
const METADATA_KEPT_MS = 60 * 60_000

/** An authorization server. */
export class OAuthServer {
  readonly #options: OAuthServerOptions
  readonly #clock: ProviderClock
  #found: { readonly at: number; readonly metadata: Metadata } | undefined

  constructor(options: OAuthServerOptions) {
    this.#options = options
    this.#clock = new ProviderClock(options.now)
  }

  /** How far its clock is ahead of ours, in milliseconds, as it said last: what is signed for it goes by that. */
  get aheadMs(): number {
    return this.#clock.aheadMs
  }

  /** Whom what is signed for it is for: its name where that is known, else its token endpoint. */
  get audience(): string {
    const { issuer, token = '' } = this.#options.server
    return issuer ?? token
  }

  /** Where tokens are taken back, where that is known: it is, once a token was asked for. */
  get revocationUrl(): string | undefined {
    return this.#options.server.revoke ?? this.#found?.metadata.revocation_endpoint
  }

  /** Asks, and once more where it refuses what was signed by another clock than its own. @throws ProviderError */
  async byItsClock<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    const { aheadMs } = this.#clock
    try {
      return await ask()
    } catch (error) {
      const isSigned = this.#options.client.proof.kind === 'key'
      const isRefused = error instanceof ProviderError && error.isLasting
      if (!isSigned || !isRefused || !this.#clock.differsFrom(aheadMs)) throw error
      return ask()
    }
  }

  /** Asks for a token. @throws ProviderError */
  async token(
    grantType: string,
    parameters: readonly (readonly [string, string])[],
    signal: AbortSignal,
  ): Promise<GivenToken> {
    const oauth = await import('oauth4webapi')
    const [as, auth] = await Promise.all([this.#server(signal), this.#auth()])
    const client = await this.#client()
    const pairs = parameters.map(([name, value]) => [name, value])
    const answer = await this.#ask(signal, (options) =>
      oauth.genericTokenEndpointRequest(as, client, auth, grantType, pairs, options),
    )
    const given = await read(async () =>
      oauth.processGenericTokenEndpointResponse(as, client, await withoutIdToken(answer)),
    )
    const { access_token: token, token_type: type, expires_in, refresh_token, scope } = given
    const issued = given['issued_token_type']
    // A token that is bound to a key is worth nothing without the proof that nobody makes here.
    if (type !== 'bearer')
      throw new ProviderError('the token is of a type that is not served', { isLasting: true })
    return {
      token,
      expiresIn: expires_in,
      refreshToken: refresh_token,
      scope: scope?.split(' ').filter((one) => one !== ''),
      issuedType: typeof issued === 'string' ? issued : undefined,
    }
  }

  /**
   * Takes a token back, and asks whether it is.
   * @param at where it was to be taken back when it was given: nobody else is told of it
   * @throws ProviderError where that is to be tried again
   */
  async revoke(token: string, signal: AbortSignal, at: string): Promise<Revocation> {
    const oauth = await import('oauth4webapi')
    const [as, auth] = await Promise.all([this.#server(signal), this.#auth()])
    if (as.revocation_endpoint !== at)
      throw new ProviderError('it is taken back elsewhere', { isLasting: true })
    const wasActive = await this.#wasActive(as, auth, token, signal)
    const client = await this.#client()
    await this.#ask(signal, (options) =>
      oauth.revocationRequest(as, client, auth, token, {
        ...options,
        additionalParameters: { token_type_hint: 'access_token' },
      }),
    )
    if (as.introspection_endpoint === undefined) return 'accepted'
    try {
      const isActive = await this.#isActive(as, auth, token, signal)
      if (!isActive) return wasActive ? 'confirmed' : 'accepted'
    } catch (error) {
      // Who may not ask will not be told later either.
      if (error instanceof ProviderError && error.isLasting) return 'accepted'
      throw error
    }
    throw new ProviderError('the token is still active at the provider')
  }

  // Who says of every token that it is not active proves nothing by it.
  async #wasActive(
    as: OAuth.AuthorizationServer,
    auth: OAuth.ClientAuth,
    token: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (as.introspection_endpoint === undefined) return false
    try {
      return await this.byItsClock(() => this.#isActive(as, auth, token, signal))
    } catch (error) {
      if (error instanceof ProviderError) return false
      throw error
    }
  }

  async #isActive(
    as: OAuth.AuthorizationServer,
    auth: OAuth.ClientAuth,
    token: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const oauth = await import('oauth4webapi')
    const client = await this.#client()
    const answer = await this.#ask(signal, (options) =>
      oauth.introspectionRequest(as, client, auth, token, {
        ...options,
        additionalParameters: { token_type_hint: 'access_token' },
      }),
    )
    const { active } = await read(() => oauth.processIntrospectionResponse(as, client, answer))
    return active
  }

  // What it signs is by the clock of whom it is for, as that is known now.
  async #client(): Promise<OAuth.Client> {
    const { clockSkew } = await import('oauth4webapi')
    const { client } = this.#options
    return { client_id: client.id, [clockSkew]: Math.round(this.#clock.aheadMs / 1000) }
  }

  async #auth(): Promise<OAuth.ClientAuth> {
    const oauth = await import('oauth4webapi')
    const {
      client: { proof },
      proof: readProof,
    } = this.#options
    if (proof.kind === 'none' || readProof === undefined) return oauth.None()
    const text = await readProof()
    if (proof.kind === 'basic') return oauth.ClientSecretBasic(text)
    if (proof.kind !== 'key') return oauth.ClientSecretPost(text)
    const { key } = readSigningKey(text)
    const { keyId } = proof
    return oauth.PrivateKeyJwt(keyId === undefined ? key : { key, kid: keyId })
  }

  // What is written stands; the rest is looked up, as nobody but the operator says where secrets are sent to.
  async #server(signal: AbortSignal): Promise<OAuth.AuthorizationServer> {
    const { issuer, token, revoke, introspect } = this.#options.server
    const looked =
      issuer === undefined || token !== undefined ? {} : await this.#look(issuer, signal)
    return {
      ...looked,
      issuer: issuer ?? token ?? revoke ?? '',
      ...(token !== undefined && { token_endpoint: token }),
      ...(revoke !== undefined && { revocation_endpoint: revoke }),
      ...(introspect !== undefined && { introspection_endpoint: introspect }),
    }
  }

  async #look(issuer: string, signal: AbortSignal): Promise<Metadata> {
    const now = this.#options.now()
    if (this.#found && Math.abs(now - this.#found.at) < METADATA_KEPT_MS)
      return this.#found.metadata
    const oauth = await import('oauth4webapi')
    const url = new URL(issuer)
    const look = (algorithm: 'oauth2' | 'oidc'): Promise<Response> =>
      this.#ask(signal, (options) => oauth.discoveryRequest(url, { ...options, algorithm }))
    const answer = await look('oauth2').catch((error: unknown) => {
      if (error instanceof ProviderError && error.isLasting) return look('oidc')
      throw error
    })
    const all = await read(() => oauth.processDiscoveryResponse(url, answer))
    const metadata: Metadata = { issuer: all.issuer }
    for (const name of ENDPOINTS) {
      const endpoint = all[name]
      if (endpoint === undefined || this.#isWritten(name)) continue
      if (!URL.canParse(endpoint) || new URL(endpoint).origin !== url.origin)
        throw new ProviderError(`its \`${name}\` is not at the issuer: it has to be written`, {
          isLasting: true,
        })
      metadata[name] = endpoint
    }
    if (metadata.token_endpoint === undefined)
      throw new ProviderError('its metadata has no `token_endpoint`', { isLasting: true })
    this.#found = { at: now, metadata }
    return metadata
  }

  #isWritten(name: (typeof ENDPOINTS)[number]): boolean {
    const { token, revoke, introspect } = this.#options.server
    if (name === 'token_endpoint') return token !== undefined
    return (name === 'revocation_endpoint' ? revoke : introspect) !== undefined
  }

  // A refusal is an error here already; what comes back is there to be read.
  async #ask(
    signal: AbortSignal,
    send: (transport: Transport) => Promise<Response>,
  ): Promise<Response> {
    const { provider, now } = this.#options
    const oauth = await import('oauth4webapi')
    return send({
      // The configuration decides which URLs these may be: without TLS loopback alone.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: async (at, { method, headers, body }) => {
        const url = new URL(at)
        const path = url.pathname + url.search
        const sent = body === undefined ? {} : { body: body.toString() }
        const answer = await provider(url).ask({ method, path, headers, ...sent, signal })
        this.#clock.learn(answer)
        if (answer.status < 200 || answer.status > 299) throw errorOf(answer, now())
        return responseOf(answer)
      },
    })
  }
}
