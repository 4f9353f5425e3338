// What the endpoints answer that a sidecar stands in for, with placeholders where they would give secrets: the metadata service
// of AWS, its endpoint for containers, a token URL of OAuth. Pure. Called by `stand-in.ts`.
// @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html, RFC 6749 section 5.1

import type { CredentialDefinition } from '../credentials/definition.ts'
import { relativeUriOf } from '../credentials/stand-ins.ts'

/** What is asked, and for which credential. */
export interface StandInQuestion {
  readonly definition: CredentialDefinition
  readonly kind: 'imds' | 'ecs' | 'oauth'
  readonly method: string
  readonly path: string
  /** How long an IMDS token is asked for, as it was sent. */
  readonly ttl: string | undefined
  /** What stands for a part of the credential; undefined: for its value. */
  readonly placeholderOf: (part?: string) => string
  /** Epoch milliseconds. */
  readonly now: number
  /** Epoch milliseconds; of the task. */
  readonly endsAt: number
}

/** What is answered. */
export interface StandInAnswer {
  readonly status: number
  readonly type: 'text/plain' | 'application/json'
  readonly text: string
  readonly headers?: readonly string[]
}

const VALID_MAX_MS = 3_600_000
const TTL = /^[1-9]\d{0,4}$/
const TTL_MAX_S = 21_600
// Nobody is asked to show it: who may ask at all is said by whose call it is.
const IMDS_TOKEN = Buffer.from('sallyport stands in for the metadata service').toString('base64')
const ROLES = '/latest/meta-data/iam/security-credentials'

/** Answers; undefined where it is no question that is stood in for. */
export function answerQuestion(question: StandInQuestion): StandInAnswer | undefined {
  const { kind, method, path, definition } = question
  if (kind === 'oauth') return method === 'POST' ? tokenFor(question) : undefined
  const isRead = method === 'GET'
  if (kind === 'ecs')
    return isRead && path === relativeUriOf(definition) ? json(keysFor(question)) : undefined
  if (method === 'PUT' && path === '/latest/api/token') return imdsToken(question)
  if (!isRead) return undefined
  if (path === ROLES || path === `${ROLES}/`)
    return { status: 200, type: 'text/plain', text: definition.name }
  if (path !== `${ROLES}/${definition.name}`) return undefined
  const updated = new Date(question.now).toISOString()
  return json({ Code: 'Success', LastUpdated: updated, Type: 'AWS-HMAC', ...keysFor(question) })
}

function imdsToken({ ttl = '' }: StandInQuestion): StandInAnswer {
  if (!TTL.test(ttl) || Number(ttl) > TTL_MAX_S)
    return { status: 400, type: 'text/plain', text: 'expected a time to live' }
  const headers = ['X-aws-ec2-metadata-token-ttl-seconds', ttl]
  return { status: 200, type: 'text/plain', text: IMDS_TOKEN, headers }
}

function keysFor(question: StandInQuestion): object {
  const { placeholderOf } = question
  return {
    AccessKeyId: placeholderOf('accessKeyId'),
    SecretAccessKey: placeholderOf('secretAccessKey'),
    Token: placeholderOf('sessionToken'),
    Expiration: new Date(endOf(question)).toISOString().replace(/\.\d+Z$/, 'Z'),
  }
}

function tokenFor(question: StandInQuestion): StandInAnswer {
  return json({
    access_token: question.placeholderOf(),
    token_type: 'Bearer',
    expires_in: Math.max(1, Math.floor((endOf(question) - question.now) / 1000)),
  })
}

function endOf({ now, endsAt }: StandInQuestion): number {
  return Math.min(endsAt, now + VALID_MAX_MS)
}

function json(content: object): StandInAnswer {
  return { status: 200, type: 'application/json', text: JSON.stringify(content) }
}
