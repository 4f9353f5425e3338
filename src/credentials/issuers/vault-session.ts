// The token that a source asks a Vault with: logged in for once while something is asked or leased, renewed before it ends,
// followed by another where it cannot be, and revoked when nothing depends on it any more. A Vault ends what was leased with a
// token when the token ends, so each lease is kept with its own. Called by `vault.ts`.

import type { VaultLogin } from '../source-definition.ts'
import { ProviderError, type ReadLocal } from '../issuer.ts'
import type { JsonObject } from '../material.ts'
import { memberOf, secondsOf, VaultProblem, type VaultClient } from './vault-client.ts'

/** What a session needs. */
export interface VaultSessionOptions {
  readonly client: VaultClient
  readonly login: VaultLogin
  /** What the login is proved with. */
  readonly secret: ReadLocal
  /** Told of every token, so that it is masked. @returns what forgets it */
  readonly learn: (token: string) => () => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** A token that was logged in for. */
export interface VaultToken {
  readonly text: string
  /** Undefined: it does not end, as far as is known. */
  readonly expiresAt: number | undefined
  /** Nothing is asked with it any more. */
  readonly isGone: boolean
}

interface HeldToken extends VaultToken {
  expiresAt: number | undefined
  isGone: boolean
  /** What it lasted when it was new, or is to last once more. */
  readonly lifeMs: number
  readonly isRenewable: boolean
  readonly isRevocable: boolean
  users: number
  /** It need not be masked any more. */
  readonly unlearn: () => void
  /** The leases that end with it, and what forgets them at their own ends. */
  readonly leases: Map<string, NodeJS.Timeout | undefined>
}

// A longer timer of the runtime fires at once.
const TIMER_MS_MAX = 2 ** 31 - 1

/** The tokens of one source. */
export class VaultSession {
  readonly #options: VaultSessionOptions
  readonly #byLease: Map<string, HeldToken> = new Map()
  /** Those that work, as far as is known. */
  readonly #tokens: Set<HeldToken> = new Set()
  #current: HeldToken | undefined
  #obtaining: Promise<HeldToken> | undefined

  constructor(options: VaultSessionOptions) {
    this.#options = options
  }

  /** Asks with a token; once more with a new one where it was found to have ended. @throws ProviderError */
  async use<Result>(ask: (token: VaultToken) => Promise<Result>): Promise<Result> {
    const token = await this.#enter()
    try {
      return await ask(token)
    } catch (error) {
      if (!(error instanceof VaultProblem) || error.status !== 403) throw error
      if (await this.#works(token))
        throw new ProviderError(error.message, { isLasting: true, cause: error })
      this.#forget(token)
    } finally {
      this.#leave(token)
    }
    const next = await this.#enter()
    try {
      return await ask(next)
    } finally {
      this.#leave(next)
    }
  }

  /** Keeps a token for a lease that was made with it. @param endsAt epoch milliseconds; undefined: it does not end by itself */
  hold(lease: string, token: VaultToken, endsAt: number | undefined): void {
    const held = [...this.#tokens].find((one) => one === token)
    if (held === undefined) return
    clearTimeout(held.leases.get(lease))
    this.#byLease.set(lease, held)
    held.leases.set(lease, this.#timerFor(lease, endsAt))
  }

  /** The token that a lease was made with, where it may still be prolonged by it. */
  tokenOf(lease: string): VaultToken | undefined {
    const token = this.#byLease.get(lease)
    return token?.isGone === true ? undefined : token
  }

  /** A lease is over; resolves once a token that nothing depends on any more was revoked, or could not be. */
  async release(lease: string): Promise<void> {
    const token = this.#byLease.get(lease)
    if (token === undefined) return
    clearTimeout(token.leases.get(lease))
    token.leases.delete(lease)
    this.#byLease.delete(lease)
    await this.#rest(token)
  }

  #timerFor(lease: string, endsAt: number | undefined): NodeJS.Timeout | undefined {
    if (endsAt === undefined) return undefined
    const ms = Math.max(0, endsAt - this.#options.now())
    return setTimeout(
      () => {
        if (ms > TIMER_MS_MAX)
          this.#byLease.get(lease)?.leases.set(lease, this.#timerFor(lease, endsAt))
        else void this.release(lease)
      },
      Math.min(ms, TIMER_MS_MAX),
    ).unref()
  }

  async #enter(): Promise<HeldToken> {
    for (;;) {
      this.#obtaining ??= this.#obtain().finally(() => (this.#obtaining = undefined))
      const token = await this.#obtaining
      // It may have been revoked since, as nobody used it.
      if (token.isGone) continue
      token.users += 1
      return token
    }
  }

  #leave(token: HeldToken): void {
    token.users -= 1
    void this.#rest(token)
  }

  async #obtain(): Promise<HeldToken> {
    const current = this.#current
    if (current !== undefined && !this.#isDue(current)) return current
    if (current !== undefined && (await this.#prolong(current))) return current
    const next = await this.#logIn()
    this.#current = next
    this.#tokens.add(next)
    if (current !== undefined) void this.#rest(current)
    return next
  }

  #isDue({ expiresAt, lifeMs }: HeldToken): boolean {
    return expiresAt !== undefined && expiresAt - this.#options.now() < lifeMs / 2
  }

  /** Renews a token; false where that makes it last no longer than half its life, as it does towards its longest. */
  async #prolong(token: HeldToken): Promise<boolean> {
    const { client, now } = this.#options
    if (!token.isRenewable || (token.expiresAt ?? Infinity) <= now()) return false
    const path = ['auth/token/renew-self']
    const askedAt = now()
    try {
      const answer = await client.ask({ method: 'POST', path, token: token.text, body: {} })
      token.expiresAt = endOf(memberOf(answer, 'auth'), askedAt)
    } catch (error) {
      if (!(error instanceof VaultProblem) || error.status >= 429) throw error
      return false
    }
    return !this.#isDue(token)
  }

  async #logIn(): Promise<HeldToken> {
    const { client, login, learn, now } = this.#options
    const secret = await this.#options.secret()
    if (login.kind === 'token') return makeToken(secret, undefined, 0, {}, () => undefined)
    const askedAt = now()
    const body =
      login.kind === 'appRole'
        ? { role_id: login.roleId, secret_id: secret }
        : { role: login.role, jwt: secret }
    const path = ['auth', login.mount, 'login']
    const answer = await client.ask({ method: 'POST', path, body }).catch((error: unknown) => {
      if (!(error instanceof VaultProblem) || (error.status !== 400 && error.status !== 403))
        throw error
      throw new ProviderError('Vault refuses the login', { isLasting: true, cause: error })
    })
    const auth = memberOf(answer, 'auth')
    const { client_token: text } = auth
    if (typeof text !== 'string' || !/^[\x21-\x7e]{1,4096}$/.test(text))
      throw new ProviderError('what Vault answered has no token')
    const expiresAt = endOf(auth, askedAt)
    return makeToken(text, expiresAt, (expiresAt ?? askedAt) - askedAt, auth, learn(text))
  }

  // 403 means both: what it may not do, and that it has ended.
  async #works({ text }: HeldToken): Promise<boolean> {
    try {
      await this.#options.client.ask({
        method: 'GET',
        path: ['auth/token/lookup-self'],
        token: text,
      })
      return true
    } catch (error) {
      if (error instanceof VaultProblem && error.status === 403) return false
      throw error
    }
  }

  #forget(token: HeldToken): void {
    token.isGone = true
    token.unlearn()
    this.#tokens.delete(token)
    if (this.#current === token) this.#current = undefined
    for (const [lease, timer] of token.leases) {
      clearTimeout(timer)
      this.#byLease.delete(lease)
    }
    token.leases.clear()
  }

  // One that cannot be revoked ends by itself.
  async #rest(token: HeldToken): Promise<void> {
    if (token.isGone || token.users > 0 || token.leases.size > 0) return
    this.#forget(token)
    if (!token.isRevocable || (token.expiresAt ?? Infinity) <= this.#options.now()) return
    const path = ['auth/token/revoke-self']
    await this.#options.client
      .ask({ method: 'POST', path, token: token.text, body: {} })
      .catch(() => undefined)
  }
}

function endOf(auth: JsonObject, askedAt: number): number | undefined {
  const seconds = secondsOf(auth['lease_duration'])
  return seconds === 0 ? undefined : askedAt + seconds * 1000
}

function makeToken(
  text: string,
  expiresAt: number | undefined,
  lifeMs: number,
  auth: JsonObject,
  unlearn: () => void,
): HeldToken {
  // What is in a batch token is all there is of it.
  const isRevocable = auth['client_token'] !== undefined && auth['token_type'] !== 'batch'
  return {
    text,
    expiresAt,
    lifeMs,
    isRenewable: auth['renewable'] === true,
    isRevocable,
    isGone: false,
    users: 0,
    unlearn,
    leases: new Map(),
  }
}
