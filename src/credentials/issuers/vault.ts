// Credentials that HashiCorp Vault or OpenBao keeps (KV, version 2) or makes for a task (leases of its engines: databases, clouds,
// PKI). Deliberately knows no engine by name: what is asked and which members answer is the definition's. Made by
// `config/credentials/open-vault.ts`; logging in is `vault-session.ts`.

import type { VaultAsk, VaultFields } from '../source-definition.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type Revocation,
  type RevocationHandle,
} from '../issuer.ts'
import { isObject, makeMaterial, readEnd, type JsonObject } from '../material.ts'
import { paramsOf, scopeOf } from '../scope.ts'
import {
  memberOf,
  secondsOf,
  VaultProblem,
  type VaultClient,
  type VaultRequest,
} from './vault-client.ts'
import type { VaultSession, VaultToken } from './vault-session.ts'

type AskLease = Extract<VaultAsk, { readonly kind: 'lease' }>
type AskKept = Extract<VaultAsk, { readonly kind: 'kv' }>

/** What such an issuer needs. */
export interface VaultIssuerOptions {
  readonly ask: VaultAsk
  readonly client: VaultClient
  readonly session: VaultSession
  readonly secretBytesMax: number
  /** Epoch milliseconds. */
  readonly now: () => number
}

// What engines call the parts of a credential.
const USUAL_FIELDS: Readonly<Record<keyof VaultFields, readonly string[]>> = {
  value: ['password', 'token', 'service_account_token'],
  user: ['username'],
  accessKeyId: ['access_key'],
  secretAccessKey: ['secret_key'],
  sessionToken: ['security_token', 'session_token'],
  certificate: ['certificate'],
  key: ['private_key'],
}
// One part of a path: what else a task says would lead elsewhere.
const PLAIN_PART = /^(?!\.{1,2}$)[\w.@+-]{1,256}$/
const PLAIN_LEASE = /^[\x21-\x7e]{1,1024}$/

/** Asks a Vault for what one definition says. */
export class VaultIssuer implements Issuer {
  readonly isStatic: boolean
  readonly #options: VaultIssuerOptions

  constructor(options: VaultIssuerOptions) {
    this.isStatic = options.ask.kind === 'kv'
    this.#options = options
  }

  /** @throws ProviderError */
  async mint(request: MintRequest): Promise<Minted> {
    const { ask, session } = this.#options
    return session.use((token) =>
      ask.kind === 'kv' ? this.#read(ask, token, request.signal) : this.#lease(ask, token, request),
    )
  }

  /** @throws ProviderError, a lasting one where another is to be minted instead */
  async renew(minted: Minted, request: MintRequest): Promise<Minted> {
    const { session, now } = this.#options
    const { lease, seconds } = minted.handle ?? {}
    if (typeof lease !== 'string') throw new ProviderError('it has no lease', { isLasting: true })
    return session.use(async (token) => {
      // With the token it was made with it ends in any case.
      if (session.tokenOf(lease) !== token)
        throw new ProviderError('the login it was made with ends', { isLasting: true })
      const increment = Math.min(Number(seconds), secondsUntil(request.notAfter, now()))
      const end = await this.#prolong(lease, increment, token)
      session.hold(lease, token, end)
      return { ...minted, expiresAt: earlier(end, token.expiresAt) }
    })
  }

  /** @throws ProviderError */
  async revoke({ lease }: RevocationHandle, signal: AbortSignal): Promise<Revocation> {
    const { session } = this.#options
    const id = String(lease)
    const outcome = await session.use(async (token) => {
      await this.#revoke(id, token, signal)
      return this.#lookUp(id, token, signal)
    })
    await session.release(id)
    return outcome
  }

  async #read(
    { mount, path, version, fields }: AskKept,
    { text: token }: VaultToken,
    signal: AbortSignal,
  ): Promise<Minted> {
    const { client, secretBytesMax } = this.#options
    const answer = await client.ask({
      method: 'GET',
      path: [mount, 'data', path],
      ...(version !== undefined && { query: `version=${version}` }),
      token,
      signal,
    })
    const { data, metadata } = memberOf(answer, 'data')
    if (!isObject(data)) throw new ProviderError('what Vault answered has no `data`')
    const number = isObject(metadata) ? metadata['version'] : undefined
    return {
      material: makeMaterial(pick(data, fields), secretBytesMax),
      expiresAt: undefined,
      handle: undefined,
      ...(typeof number === 'number' && { id: `version ${number}` }),
    }
  }

  async #lease(ask: AskLease, token: VaultToken, request: MintRequest): Promise<Minted> {
    const { client, session, now, secretBytesMax } = this.#options
    const askedAt = now()
    const question = questionOf(ask, request, askedAt)
    const answer = await client.ask({ ...question, token: token.text })
    const { lease_id: lease } = answer
    const id = typeof lease === 'string' && PLAIN_LEASE.test(lease) ? lease : undefined
    // What is only read is there for all tasks, and beyond them.
    if (id === undefined && question.method === 'GET')
      throw new ProviderError('Vault made no lease of it', { isLasting: true })
    try {
      const data = memberOf(answer, 'data')
      const material = makeMaterial(pick(data, ask.fields), secretBytesMax)
      const seconds = secondsOf(answer['lease_duration'])
      const told =
        seconds > 0 ? askedAt + seconds * 1000 : readEnd(data['expiration'], 'expiration')
      if (id === undefined) return { material, expiresAt: told, handle: undefined }
      const end =
        answer['renewable'] === true && told !== undefined && told > request.notAfter
          ? await this.#shorten(id, told, token, request)
          : told
      session.hold(id, token, end)
      const handle = { lease: id, seconds }
      return { material, expiresAt: earlier(end, token.expiresAt), handle, id }
    } catch (error) {
      // Nobody else would know of it.
      if (id !== undefined) await this.#revoke(id, token).catch(() => undefined)
      throw error
    }
  }

  // What lasts longer than its task is asked to end with it; a Vault that does not heed that is asked at the end.
  async #shorten(
    lease: string,
    told: number,
    token: VaultToken,
    { notAfter }: MintRequest,
  ): Promise<number | undefined> {
    const increment = secondsUntil(notAfter, this.#options.now())
    try {
      return await this.#prolong(lease, increment, token)
    } catch (error) {
      if (error instanceof ProviderError) return told
      throw error
    }
  }

  async #prolong(
    lease: string,
    increment: number,
    { text: token }: VaultToken,
  ): Promise<number | undefined> {
    const { client, now } = this.#options
    const askedAt = now()
    const body = { lease_id: lease, increment }
    const path = ['sys/leases/renew']
    const answer = await client.ask({ method: 'POST', path, token, body })
    const seconds = secondsOf(answer['lease_duration'])
    return seconds > 0 ? askedAt + seconds * 1000 : undefined
  }

  async #revoke(lease: string, { text: token }: VaultToken, signal?: AbortSignal): Promise<void> {
    await this.#options.client.ask({
      method: 'POST',
      path: ['sys/leases/revoke'],
      token,
      // Otherwise it would only be noted.
      body: { lease_id: lease, sync: true },
      ...(signal && { signal }),
    })
  }

  async #lookUp(
    lease: string,
    { text: token }: VaultToken,
    signal: AbortSignal,
  ): Promise<Revocation> {
    const path = ['sys/leases/lookup']
    const body = { lease_id: lease }
    try {
      await this.#options.client.ask({ method: 'POST', path, token, body, signal })
    } catch (error) {
      if (error instanceof VaultProblem && error.isLeaseGone) return 'confirmed'
      // A login that may revoke and not look proves nothing.
      if (error instanceof VaultProblem && error.status === 403) return 'accepted'
      throw error
    }
    throw new ProviderError('Vault still has the lease')
  }
}

function questionOf(
  { path, parameters, ttlParameter }: AskLease,
  request: MintRequest,
  now: number,
): Pick<VaultRequest, 'method' | 'path' | 'body'> {
  for (const name of paramsOf([path])) {
    const value = request.task.params[name]
    if (value !== undefined && !PLAIN_PART.test(value))
      throw new ProviderError(`the param \`${name}\` cannot stand in a path`, { isLasting: true })
  }
  const names = Object.keys(parameters ?? {})
  // Each with its place, so that one below cannot have what another place of one above says.
  const written = [path, ...names.map((name) => `${name}=${parameters?.[name] ?? ''}`)]
  const [at = '', ...filled] = scopeOf(written, request)
  const given = filled.map((text, index): [string, string] => {
    const name = names[index] ?? ''
    return [name, text.slice(name.length + 1)]
  })
  if (parameters === undefined && ttlParameter === undefined) return { method: 'GET', path: [at] }
  const ttl =
    ttlParameter === undefined ? {} : { [ttlParameter]: `${secondsUntil(request.notAfter, now)}s` }
  return { method: 'POST', path: [at], body: { ...Object.fromEntries(given), ...ttl } }
}

function pick(data: JsonObject, fields: VaultFields | undefined): JsonObject {
  const chosen: readonly (readonly [string, readonly string[]])[] =
    fields === undefined
      ? Object.entries(USUAL_FIELDS)
      : Object.entries(fields).map(([part, name]) => [part, [name]])
  const given: Record<string, unknown> = {}
  for (const [part, names] of chosen) {
    const name = names.find((one) => Object.hasOwn(data, one))
    if (name !== undefined) given[part] = data[name]
    else if (fields !== undefined)
      throw new ProviderError(`Vault gives nothing for \`${part}\``, { isLasting: true })
  }
  return given
}

// Never later than the moment, and never nothing: 0 asks for the default.
function secondsUntil(moment: number, now: number): number {
  return Math.max(1, Math.floor((moment - now) / 1000))
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)
}
