// Webhooks that are signed as Standard Webhooks are: `v1,` and the HMAC-SHA256 over id, time and body. Pure. Called by
// `config/reviewers.ts`, which sends and takes them.
// @see https://www.standardwebhooks.com

import { createHmac, timingSafeEqual } from 'node:crypto'

/** What is signed. */
export interface SignedMessage {
  readonly id: string
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly body: string
}

const VERSION = 'v1,'
const KEY_PREFIX = 'whsec_'
/** A message of another time is somebody's who kept it. */
const TOLERANCE_SECONDS = 300
const SIGNATURES_MAX = 8
const ID = /^[\x21-\x7e]{1,128}$/

/** Gives the key that a secret stands for: what is behind `whsec_` in base64, or the text itself. */
export function readWebhookKey(secret: string): Buffer {
  return secret.startsWith(KEY_PREFIX)
    ? Buffer.from(secret.slice(KEY_PREFIX.length), 'base64')
    : Buffer.from(secret)
}

/** Makes the fields that prove a message. */
export function signWebhook(key: Buffer, message: SignedMessage): Record<string, string> {
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestamp),
    'webhook-signature': `${VERSION}${macOf(key, message).toString('base64')}`,
  }
}

/**
 * Checks the fields of a message.
 * @param fields by name in lower case
 * @param nowSeconds since the epoch
 * @returns the message's id; undefined where the key did not sign it, or not about now
 */
export function verifyWebhook(
  key: Buffer,
  fields: Readonly<Record<string, string | undefined>>,
  body: string,
  nowSeconds: number,
): string | undefined {
  const id = fields['webhook-id'] ?? ''
  const written = fields['webhook-timestamp'] ?? ''
  const timestamp = Number(written)
  if (!ID.test(id) || !/^\d{1,12}$/.test(written)) return undefined
  if (Math.abs(nowSeconds - timestamp) > TOLERANCE_SECONDS) return undefined
  const mac = macOf(key, { id, timestamp, body })
  const signatures = (fields['webhook-signature'] ?? '').split(' ').slice(0, SIGNATURES_MAX)
  const isSigned = signatures.some((signature) => {
    if (!signature.startsWith(VERSION)) return false
    const given = Buffer.from(signature.slice(VERSION.length), 'base64')
    return given.length === mac.length && timingSafeEqual(given, mac)
  })
  return isSigned ? id : undefined
}

function macOf(key: Buffer, { id, timestamp, body }: SignedMessage): Buffer {
  return createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest()
}
