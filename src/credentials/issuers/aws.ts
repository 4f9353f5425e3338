// Sessions of AWS roles, one a task: asked of STS with long-lived keys or a web identity. STS takes nothing back and gives 900
// seconds at the least, so every session carries a policy that denies all once its task is over. Made by `config/`.
// @see https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html

import {
  ALGORITHM,
  formatScope,
  formatSigningTime,
  hashPayload,
  signRequest,
} from '../../wire/sigv4.ts'
import type { AwsRole, AwsSourceDefinition } from '../source-definition.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type Provider,
} from '../issuer.ts'
import { revealPart, reveal } from '../reveal.ts'
import { paramsOf, scopeOf } from '../scope.ts'
import type { Secret } from '../secret.ts'
import { faultOf, readSession, type StsFault } from './aws-answer.ts'
import { sessionPolicy } from './aws-policy.ts'
import { ProviderClock } from './provider-clock.ts'

/** What an issuer of sessions needs. */
export interface AwsIssuerOptions {
  readonly source: AwsSourceDefinition
  readonly provider: Provider
  /** Reads what STS is asked with: the parts of the keys, or the token of the web identity. */
  readonly login: () => Promise<Secret>
  /** Epoch milliseconds. */
  readonly now: () => number
}

const SECONDS_MIN = 900
// STS takes what is signed within five minutes of its clock.
const SKEW_CODES: ReadonlySet<string> = new Set([
  'RequestExpired',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
])
const SESSION_NAME = /^[\w+=,.@-]{2,64}$/
// In a policy they would stand for more than themselves.
const PATTERN = /[*?$]/

/** Mints a session a task. */
export class AwsIssuer implements Issuer {
  readonly isStatic = false
  readonly #options: AwsIssuerOptions
  readonly #clock: ProviderClock

  constructor(options: AwsIssuerOptions) {
    this.#options = options
    this.#clock = new ProviderClock(options.now)
  }

  async mint(request: MintRequest): Promise<Minted> {
    const { aheadMs } = this.#clock
    const first = await this.#ask(request)
    // It says itself what time it is. A session that was asked for by another would end with another time than its task: nobody
    // has used it, and nobody will.
    const isSkewed = this.#clock.differsFrom(aheadMs)
    const isAgain = isSkewed && (!('code' in first) || SKEW_CODES.has(first.code))
    const answer = isAgain ? await this.#ask(request) : first
    if ('fault' in answer) throw answer.fault
    return answer
  }

  async #ask(request: MintRequest): Promise<Minted | StsFault> {
    const { source, provider, now } = this.#options
    const at = this.#clock.now()
    const denyAfter = Math.floor((request.notAfter + this.#clock.aheadMs) / 1000) * 1000
    const name = sessionName(source.role, request)
    const form = formOf(source.role, request, { at, denyAfter, name })
    const answer = await provider.ask({
      method: 'POST',
      ...(await this.#prove(form, at)),
      signal: request.signal,
    })
    this.#clock.learn(answer)
    if (answer.status !== 200) return faultOf(answer, now())
    const { material, expiration } = readSession(answer.body)
    const expiresAt = Math.min(expiration, denyAfter) - this.#clock.aheadMs
    return { material, expiresAt, handle: undefined, id: name }
  }

  async #prove(
    form: URLSearchParams,
    at: number,
  ): Promise<{ path: string; headers: Record<string, string>; body: string }> {
    const { source, login } = this.#options
    const url = new URL(source.endpoint)
    const path = url.pathname
    const secret = await login()
    const type = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
    if (source.login.kind === 'web-identity') {
      form.set('Action', 'AssumeRoleWithWebIdentity')
      form.set('WebIdentityToken', reveal(secret, 'STS'))
      return { path, headers: type, body: form.toString() }
    }
    form.set('Action', 'AssumeRole')
    const body = form.toString()
    const [accessKeyId, secretAccessKey] = ['accessKeyId', 'secretAccessKey'].map((part) =>
      revealPart(secret, part, 'STS'),
    )
    if (accessKeyId === undefined || secretAccessKey === undefined)
      throw lasting('what it is asked with has no accessKeyId and secretAccessKey')
    const token = revealPart(secret, 'sessionToken', 'STS')
    const scope = { time: formatSigningTime(at), region: source.region, service: 'sts' }
    const headers = {
      ...type,
      'x-amz-date': scope.time,
      ...(token !== undefined && { 'x-amz-security-token': token }),
    }
    const { signature, signedHeaders } = signRequest(
      {
        method: 'POST',
        path,
        query: undefined,
        headers: ['host', url.host, ...Object.entries(headers).flat()],
        payloadHash: hashPayload(Buffer.from(body)),
      },
      secretAccessKey,
      scope,
    )
    const authorization = `${ALGORITHM} Credential=${accessKeyId}/${formatScope(scope)}, SignedHeaders=${signedHeaders}, Signature=${signature}`
    return { path, headers: { ...headers, authorization }, body }
  }
}

function formOf(
  role: AwsRole,
  request: MintRequest,
  {
    at,
    denyAfter,
    name,
  }: { readonly at: number; readonly denyAfter: number; readonly name: string },
): URLSearchParams {
  const left = Math.ceil((denyAfter - at) / 1000)
  const seconds = Math.max(SECONDS_MIN, Math.min(left, Math.floor(role.durationMs / 1000)))
  const scoped = scopeTexts([role.roleArn, role.externalId ?? '', ...role.policyArns], request)
  const [roleArn = '', externalId = '', ...policyArns] = scoped
  const form = new URLSearchParams({
    Version: '2011-06-15',
    RoleArn: roleArn,
    RoleSessionName: name,
    DurationSeconds: String(seconds),
    Policy: sessionPolicy(role, denyAfter, (texts) => scopeTexts(texts, request)),
  })
  if (externalId !== '') form.set('ExternalId', externalId)
  for (const [index, arn] of policyArns.entries())
    form.set(`PolicyArns.member.${index + 1}.arn`, arn)
  return form
}

function scopeTexts(written: readonly string[], request: MintRequest): string[] {
  const { params } = request.task
  const wild = paramsOf(written).find((name) => PATTERN.test(params[name] ?? ''))
  if (wild !== undefined) throw lasting(`the param \`${wild}\` has characters of a pattern`)
  // Each with its place, so that one below cannot have what another place of one above says.
  const placed = written.map((text, at) => `${at} ${text}`)
  return scopeOf(placed, request).map((text) => text.slice(text.indexOf(' ') + 1))
}

function sessionName(role: AwsRole, { task }: MintRequest): string {
  const name = role.sessionName.replaceAll('{task}', task.id)
  if (!SESSION_NAME.test(name)) throw lasting('the name of the session is none that STS takes')
  return name
}

function lasting(why: string): ProviderError {
  return new ProviderError(why, { isLasting: true })
}
