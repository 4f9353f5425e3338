// One question to HashiCorp Vault or OpenBao over its HTTP API, and what its answers mean. Deliberately says nothing in a Vault's
// own words, and follows no redirect: a standby that sends one is told as what it is. Made by `config/credentials/open-vault.ts`.

import { ProviderError, type Provider, type ProviderAnswer } from '../issuer.ts'
import { isObject, readObject, type JsonObject } from '../material.ts'
import { readRetryAfter } from './provider-clock.ts'

/** What a client needs. */
export interface VaultClientOptions {
  readonly provider: () => Provider
  /** What stands before `/v1`, without a slash at its end. */
  readonly basePath: string
  readonly namespace: string | undefined
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** One question. */
export interface VaultRequest {
  readonly method: 'GET' | 'POST'
  /** Behind `/v1/`, each part as it is meant. */
  readonly path: readonly string[]
  readonly query?: string
  readonly token?: string
  readonly body?: JsonObject
  /** Absent: the answer is waited for in any case, as what it says would be lost. */
  readonly signal?: AbortSignal
}

/** A Vault that refused. */
export class VaultProblem extends ProviderError {
  readonly status: number
  /** It knows no lease by that name. */
  readonly isLeaseGone: boolean

  constructor(
    message: string,
    status: number,
    options: {
      readonly isLasting: boolean
      readonly retryAfterMs?: number
      readonly isLeaseGone: boolean
    },
  ) {
    super(message, options)
    this.name = 'VaultProblem'
    this.status = status
    this.isLeaseGone = options.isLeaseGone
  }
}

const ANSWER = 'what Vault answered'
/** @see https://developer.hashicorp.com/vault/api-docs#http-status-codes */
const MEANINGS: Readonly<Record<number, string>> = {
  400: 'Vault takes it for no request',
  403: 'Vault does not allow it',
  404: 'Vault has nothing there',
  405: 'Vault takes it for no request',
  412: 'Vault has not heard of the login yet',
  429: 'Vault is asked too often, or is a standby',
  472: 'Vault is a standby for disasters',
  473: 'Vault is a standby',
  474: 'Vault is a standby without an active node',
  501: 'Vault is not initialized',
  502: 'Vault gets no answer from what it asks',
  503: 'Vault is sealed, or being mended',
}
const LASTING: ReadonlySet<number> = new Set([400, 404, 405])

/** Asks one Vault. */
export class VaultClient {
  readonly #options: VaultClientOptions

  constructor(options: VaultClientOptions) {
    this.#options = options
  }

  /** Asks; an answer without a body is `{}`. @throws VaultProblem, ProviderError */
  async ask({ method, path, query, token, body, signal }: VaultRequest): Promise<JsonObject> {
    const { provider, basePath, namespace } = this.#options
    const at = ['v1', ...path.flatMap((part) => part.split('/'))].map(encodeURIComponent).join('/')
    const answer = await provider().ask({
      method,
      path: `${basePath}/${at}${query === undefined ? '' : `?${query}`}`,
      headers: {
        accept: 'application/json',
        'x-vault-request': 'true',
        ...(token !== undefined && { 'x-vault-token': token }),
        ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: signal ?? new AbortController().signal,
    })
    if (answer.status < 200 || answer.status > 299) throw this.#problemOf(answer)
    return answer.body.length === 0 ? {} : readObject(answer.body.toString('utf8'), ANSWER)
  }

  #problemOf({ status, headers, body }: ProviderAnswer): VaultProblem {
    const isRedirect = status >= 300 && status < 400
    const why = isRedirect
      ? 'Vault sends elsewhere: name its active node, or what leads there'
      : (MEANINGS[status] ?? 'Vault fails')
    const retryAfterMs = readRetryAfter(headers, this.#options.now())
    return new VaultProblem(`${why} (${status})`, status, {
      isLasting: isRedirect || LASTING.has(status),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      isLeaseGone: status === 400 && saysLeaseGone(body),
    })
  }
}

/** The member `name` of an answer where it is an object. @throws ProviderError */
export function memberOf(answer: JsonObject, name: string): JsonObject {
  const member = answer[name]
  if (!isObject(member)) throw new ProviderError(`${ANSWER} has no \`${name}\``)
  return member
}

/** Seconds as an answer tells them; 0 where it tells none. @throws ProviderError */
export function secondsOf(value: unknown): number {
  if (value === undefined || value === null) return 0
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0 || value > 1e10)
    throw new ProviderError(`${ANSWER} has a time that is none`)
  return value
}

// Its words are compared, never told.
function saysLeaseGone(body: Buffer): boolean {
  try {
    const { errors } = readObject(body.toString('utf8'), ANSWER)
    return (
      Array.isArray(errors) &&
      errors.some((one) => /invalid lease|lease not found/.test(String(one)))
    )
  } catch {
    return false
  }
}
