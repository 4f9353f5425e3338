// How the sink proves itself to a NATS server: by a token, a password, or the signature of the server's nonce with the seed of
// an nkey, with the JWT that names the key where there is one. Pure. Called by `nats-client.ts`.

import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto'

/** What the sink is known by; all absent: nothing is asked of it. */
export interface NatsLogin {
  readonly token?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** The text of a credentials file: a user's JWT and seed, or the seed alone. */
  readonly credentials?: string | undefined
}

const JWT = /-----BEGIN NATS USER JWT-----\s+([\w.-]+)\s/
const SEED = /(?:^|\s)(SU[A-Z2-7]{56})(?:\s|$)/
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** A seed's two bytes of kind, its 32 bytes, and the two of its checksum. */
const SEED_BYTES = 36
const USER_PREFIX = 20 << 3
// What stands before the 32 bytes of an Ed25519 key in PKCS #8, RFC 8410.
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The members of CONNECT that prove who connects. @throws Error where the credentials cannot be read; it holds none of them */
export function loginFields(login: NatsLogin, nonce: string | undefined): Record<string, string> {
  const { token, user, password, credentials } = login
  if (token !== undefined) return { auth_token: token }
  if (user !== undefined) return { user, pass: password ?? '' }
  if (credentials === undefined) return {}
  const seed = SEED.exec(credentials)?.[1]
  if (seed === undefined) throw new Error('the credentials hold no seed of a user')
  if (nonce === undefined) throw new Error('the server sent no nonce to sign')
  const key = seedKey(seed)
  const sig = sign(null, Buffer.from(nonce), key).toString('base64url')
  const jwt = JWT.exec(credentials)?.[1]
  return jwt === undefined ? { nkey: publicKeyOf(key), sig } : { jwt, sig }
}

function seedKey(seed: string): KeyObject {
  const bytes = decodeBase32(seed)
  const checksum = bytes.readUInt16LE(SEED_BYTES - 2)
  if (crc16(bytes.subarray(0, -2)) !== checksum) throw new Error('the seed is damaged')
  const der = Buffer.concat([PKCS8, bytes.subarray(2, -2)])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

function publicKeyOf(privateKey: KeyObject): string {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const named = Buffer.concat([Buffer.from([USER_PREFIX]), Buffer.from(x, 'base64url')])
  const checksum = Buffer.alloc(2)
  checksum.writeUInt16LE(crc16(named))
  return encodeBase32(Buffer.concat([named, checksum]))
}

function decodeBase32(text: string): Buffer {
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const character of text) {
    value = ((value << 5) | ALPHABET.indexOf(character)) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes.push((value >> bits) & 0xff)
    }
  }
  return Buffer.from(bytes)
}

function encodeBase32(bytes: Buffer): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += ALPHABET[(value >> bits) & 31]
    }
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text
}

// CRC-16/XMODEM.
function crc16(bytes: Buffer): number {
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit += 1) crc = (crc << 1) ^ ((crc & 0x8000) > 0 ? 0x1021 : 0)
    crc &= 0xffff
  }
  return crc
}
