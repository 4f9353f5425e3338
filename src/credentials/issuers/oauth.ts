// Access tokens of an authorization server, one a task: by client credentials, by a refresh token that never leaves this process,
// or in exchange for another token. What it gives beyond what was asked for is taken back and not used. Made by
// `config/credentials/issuers.ts`.

import type { OAuthExchangedToken, OAuthSourceDefinition } from '../source-definition.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type ReadLocal,
  type Revocation,
  type RevocationHandle,
} from '../issuer.ts'
import { requireSameOwner, scopeOf } from '../scope.ts'
import type { KeptToken } from './kept-token.ts'
import type { GivenToken, OAuthServer } from './oauth-server.ts'
import { readSigningKey } from './signing-key.ts'

/** What an issuer is made of. */
export interface OAuthIssuerOptions {
  readonly source: OAuthSourceDefinition
  readonly server: OAuthServer
  /** The secret of the client, or its key in PEM; undefined: it proves nothing. */
  readonly proof: ReadLocal | undefined
  /** The refresh token that the operator gave, or the token to exchange. */
  readonly subject: ReadLocal | undefined
  readonly actor: ReadLocal | undefined
  /** Where the newest refresh token is; only for a grant of that kind. */
  readonly kept: KeptToken | undefined
  readonly tokenBytesMax: number
  /** Told of every refresh token that came back. */
  readonly learn: (text: string) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

type Parameters = (readonly [name: string, value: string])[]

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
// RFC 6749 appendix A.4.
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/
// RFC 6750 section 2.1 says less; nobody can send more than this in a header.
const TOKEN_TEXT = /^[\x21-\x7e]+$/
const FACTS_LIFETIME_S = 60

/** Mints access tokens. */
export class OAuthIssuer implements Issuer {
  readonly isStatic = false
  readonly #options: OAuthIssuerOptions
  /** Refresh tokens are used one after the other: each is the end of the one before. */
  #refreshing: Promise<unknown> = Promise.resolve()

  constructor(options: OAuthIssuerOptions) {
    this.#options = options
  }

  async mint(request: MintRequest): Promise<Minted> {
    const { now, source, server } = this.#options
    const scope = scopeOf(source.scope, request)
    // A value of a task with a space in it would be another scope.
    if (!scope.every((one) => SCOPE_TOKEN.test(one)))
      throw new ProviderError('a param of the task makes no scope', { isLasting: true })
    const asked: Parameters = [
      ...(scope.length > 0 ? [['scope', scope.join(' ')] as const] : []),
      ...scopeOf(source.audience, request).map((one) => ['audience', one] as const),
      ...scopeOf(source.resource, request).map((one) => ['resource', one] as const),
    ]
    const askedAt = now()
    const given = await server.byItsClock(() => this.#ask(asked, request))
    const fault = this.#faultOf(given, scope)
    if (fault !== undefined) {
      await this.#giveBack(given.token)
      throw new ProviderError(fault, { isLasting: true })
    }
    return {
      material: { value: given.token },
      expiresAt: given.expiresIn === undefined ? undefined : askedAt + given.expiresIn * 1000,
      handle: handleOf(given.token, this.#revocationUrl),
    }
  }

  async revoke(handle: RevocationHandle, signal: AbortSignal): Promise<Revocation> {
    return revokeHandle(this.#options.server, handle, signal)
  }

  // Taking back what a refresh token gave may take that with it: only where the operator says so.
  get #revocationUrl(): string | undefined {
    const { source, server } = this.#options
    return source.grant.kind === 'refresh' ? source.server.revoke : server.revocationUrl
  }

  async #ask(asked: Parameters, request: MintRequest): Promise<GivenToken> {
    const { server, source } = this.#options
    const { grant } = source
    if (request.signal.aborted) throw new ProviderError('the provider does not answer')
    // Whoever asks may leave; what comes after that is taken back.
    const unending = new AbortController().signal
    if (grant.kind === 'client') return server.token('client_credentials', asked, unending)
    if (grant.kind === 'refresh') return this.#refresh(asked, request.signal)
    const { subject, actor, requestedType } = grant
    const parameters: Parameters = [
      ...asked,
      ['subject_token', await this.#exchanged(subject, this.#options.subject, request)],
      ['subject_token_type', subject.type],
      ...(requestedType === undefined ? [] : [['requested_token_type', requestedType] as const]),
    ]
    if (actor)
      parameters.push(
        ['actor_token', await this.#exchanged(actor, this.#options.actor, request)],
        ['actor_token_type', actor.type],
      )
    return server.token(EXCHANGE, parameters, unending)
  }

  async #refresh(asked: Parameters, signal: AbortSignal): Promise<GivenToken> {
    const { server, subject, kept, learn } = this.#options
    const refresh = async (): Promise<GivenToken> => {
      if (signal.aborted) throw new ProviderError('the provider does not answer')
      const first = (await subject?.()) ?? ''
      const token = kept?.newestOf(first) ?? first
      // Whoever asks may leave; an answer that was left would take the token with it that it brings.
      const unending = new AbortController().signal
      const given = await server.token(
        'refresh_token',
        [...asked, ['refresh_token', token]],
        unending,
      )
      const { refreshToken } = given
      if (refreshToken !== undefined && refreshToken !== token) {
        learn(refreshToken)
        kept?.keep(first, refreshToken)
      }
      return given
    }
    const refreshed = this.#refreshing.then(refresh, refresh)
    this.#refreshing = refreshed.catch(() => undefined)
    return refreshed
  }

  async #exchanged(
    { from }: OAuthExchangedToken,
    readToken: ReadLocal | undefined,
    request: MintRequest,
  ): Promise<string> {
    if (from !== 'task') return (await readToken?.()) ?? ''
    return this.#signFacts(request)
  }

  // RFC 7523 section 3: who says it, of whom, to whom, until when.
  async #signFacts({ task, above }: MintRequest): Promise<string> {
    requireSameOwner({ task, above })
    const { source, server, proof, now } = this.#options
    const { key, algorithm } = readSigningKey((await proof?.()) ?? '')
    const clientProof = source.client.proof
    const keyId = clientProof.kind === 'key' ? clientProof.keyId : undefined
    const at = Math.floor((now() + server.aheadMs) / 1000)
    const endsAt = Math.ceil((task.expiresAt + server.aheadMs) / 1000)
    const { SignJWT } = await import('jose')
    return new SignJWT({
      task: task.id,
      instance: task.agent.instance,
      owner: task.owner.name,
      team: task.owner.team,
      environment: task.environment,
      ...(task.principal !== undefined && { principal: task.principal }),
    })
      .setProtectedHeader({
        alg: algorithm,
        typ: 'JWT',
        ...(keyId !== undefined && { kid: keyId }),
      })
      .setIssuer(source.client.id)
      .setSubject(task.agent.account)
      .setAudience(server.audience)
      .setIssuedAt(at)
      .setExpirationTime(Math.min(at + FACTS_LIFETIME_S, endsAt))
      .setJti(crypto.randomUUID())
      .sign(key)
  }

  #faultOf(
    { token, scope, issuedType, expiresIn }: GivenToken,
    asked: string[],
  ): string | undefined {
    const { source, tokenBytesMax } = this.#options
    const { grant } = source
    if (!TOKEN_TEXT.test(token) || token.length > tokenBytesMax)
      return 'the token has characters that no header may have, or too many'
    if (asked.length > 0 && scope?.some((one) => !asked.includes(one)) === true)
      return 'the provider gives more than it was asked for'
    if (expiresIn === 0) return 'the token is over when it comes'
    if (grant.kind !== 'exchange') return undefined
    const { requestedType = ACCESS_TOKEN } = grant
    return issuedType === requestedType ? undefined : 'the provider gives another type of token'
  }

  // What is not used is taken back where it can be; that it was refused is what is told.
  async #giveBack(token: string): Promise<void> {
    const at = this.#revocationUrl
    if (at === undefined) return
    try {
      await this.#options.server.revoke(token, new AbortController().signal, at)
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
    }
  }
}

/** What takes a token back; undefined where nothing does. @param at where the provider does so */
export function handleOf(token: string, at: string | undefined): RevocationHandle | undefined {
  return at === undefined ? undefined : { token, at }
}

/** Takes back what a handle is of. @throws ProviderError */
export async function revokeHandle(
  server: OAuthServer,
  handle: RevocationHandle,
  signal: AbortSignal,
): Promise<Revocation> {
  const { token, at } = handle
  if (typeof token !== 'string' || typeof at !== 'string')
    throw new ProviderError('there is no token in the handle', { isLasting: true })
  return server.revoke(token, signal, at)
}
