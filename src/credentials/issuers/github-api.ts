// GitHub's API as an app asks it: a JWT for each question, by the provider's clock where this machine's is another. Deliberately
// knows nothing of tokens' scopes. Called by `github.ts`.
// @see https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app

import { createPrivateKey, type KeyObject } from 'node:crypto'

import { parseJson } from '../../wire/parse-json.ts'
import type { GithubSourceDefinition } from '../source-definition.ts'
import {
  ProviderError,
  type OpenProvider,
  type ProviderAnswer,
  type ProviderRequest,
  type ReadLocal,
} from '../issuer.ts'

/** What asking needs. */
export interface GithubApiOptions {
  readonly source: Pick<GithubSourceDefinition, 'app' | 'api'>
  readonly provider: OpenProvider
  readonly key: ReadLocal
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** What was answered. */
export interface GithubAnswer {
  readonly status: number
  /** Empty where it was no JSON object. */
  readonly body: Readonly<Record<string, unknown>>
  /** Set where the provider asks to be left alone. */
  readonly retryAfterMs: number | undefined
}

const VERSION = '2022-11-28'
const AGENT = 'sallyport'
// As the provider's documentation has it: a minute back, and not ten ahead.
const BACK_S = 60
const AHEAD_S = 540
const RSA_BITS_MIN = 2048
/** A difference of clocks that may be why a JWT was not taken. */
const SKEW_MIN_MS = 20_000
const RETRY_MIN_MS = 1000
const RETRY_MAX_MS = 3_600_000

/** Asks it. */
export class GithubApi {
  readonly #options: GithubApiOptions
  readonly #url: URL
  /** How far the provider's clock is ahead of this machine's, as its last answer said. */
  #skewMs = 0

  constructor(options: GithubApiOptions) {
    this.#options = options
    this.#url = new URL(options.source.api)
  }

  /** Milliseconds by which the provider's clock is ahead. */
  get skewMs(): number {
    return this.#skewMs
  }

  /** Asks as the app. @throws ProviderError where there is no answer, or no key */
  async askAsApp(
    method: ProviderRequest['method'],
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<GithubAnswer> {
    const before = this.#skewMs
    const answer = await this.#ask(await this.#makeJwt(), method, path, signal, body)
    if (answer.status !== 401 || Math.abs(this.#skewMs - before) < SKEW_MIN_MS) return answer
    return this.#ask(await this.#makeJwt(), method, path, signal, body)
  }

  /** Asks with a token. @throws ProviderError where there is no answer */
  askWith(
    token: string,
    method: ProviderRequest['method'],
    path: string,
    signal: AbortSignal,
  ): Promise<GithubAnswer> {
    return this.#ask(token, method, path, signal)
  }

  async #ask(
    bearer: string,
    method: ProviderRequest['method'],
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<GithubAnswer> {
    const root = this.#url.pathname.replace(/\/$/, '')
    const answer = await this.#options.provider(this.#url).ask({
      method,
      path: `${root}${path}`,
      headers: {
        accept: 'application/vnd.github+json',
        authorization: `Bearer ${bearer}`,
        'user-agent': AGENT,
        'x-github-api-version': VERSION,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal,
    })
    const now = this.#options.now()
    const said = Date.parse(answer.headers['date'] ?? '')
    // It says whole seconds.
    if (!Number.isNaN(said)) this.#skewMs = Math.abs(said - now) < 2000 ? 0 : said - now
    return {
      status: answer.status,
      body: readObject(answer.body),
      retryAfterMs: readRetry(answer, now + this.#skewMs),
    }
  }

  async #makeJwt(): Promise<string> {
    const { app } = this.#options.source
    const key = readKey(await this.#options.key())
    // Few sidecars have an app.
    const { SignJWT } = await import('jose')
    const now = Math.floor((this.#options.now() + this.#skewMs) / 1000)
    return new SignJWT()
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuer(app)
      .setIssuedAt(now - BACK_S)
      .setExpirationTime(now + AHEAD_S)
      .sign(key)
  }
}

// Either form of PEM. What is wrong with it is told without a word of it.
function readKey(pem: string): KeyObject {
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(pem)
  } catch {
    key = undefined
  }
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0
  if (key?.asymmetricKeyType !== 'rsa' || bits < RSA_BITS_MIN)
    throw new ProviderError(`the key is no RSA key of ${RSA_BITS_MIN} bits in PEM`, {
      isLasting: true,
    })
  return key
}

function readObject(body: Buffer): GithubAnswer['body'] {
  try {
    const value: unknown = parseJson(body.toString())
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

/** @param now epoch milliseconds of the provider's clock */
function readRetry({ status, headers }: ProviderAnswer, now: number): number | undefined {
  const after = headers['retry-after']
  const isLimited =
    status === 429 ||
    (status === 403 && (after !== undefined || headers['x-ratelimit-remaining'] === '0'))
  if (!isLimited) return undefined
  const reset = Number(headers['x-ratelimit-reset']) * 1000 - now
  const wanted = after === undefined ? reset : Number(after) * 1000
  const ms = Number.isFinite(wanted) ? wanted : RETRY_MIN_MS
  return Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, ms))
}
