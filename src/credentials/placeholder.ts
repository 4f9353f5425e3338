// What the sandbox may hold instead of a secret: derived from the task, so that it survives a restart and differs between
// tasks, and of the shape its client expects. Called by `store.ts`; whoever looks for placeholders asks here what is random in one.

import { createHmac } from 'node:crypto'

import { ALPHABETS, type CredentialDefinition, type PlaceholderDefinition } from './definition.ts'

/** What stands for a credential, or for a part of it, in one task's sandbox. */
export interface HeldPlaceholder {
  readonly definition: CredentialDefinition
  /** The part of the credential; undefined: its value. */
  readonly part: string | undefined
  /** What of the text is random: whoever looks for the placeholder looks for any of these. */
  readonly pieces: readonly string[]
}

/** Whose placeholder it is. */
interface Owner {
  readonly taskId: string
  readonly credential: string
}

type Shape = Pick<PlaceholderDefinition, 'prefix' | 'length' | 'alphabet' | 'shape' | 'part'>

/** Derived characters at the least, whatever length is asked for: fewer could be met by accident, or be guessed. */
const DERIVED_MIN = 16
const JWT_HEADER = { alg: 'HS256', typ: 'JWT' }
const JWT_ID_LENGTH = 24
// The same for ever, as a placeholder survives whatever happens to its task: 2025 and 2100.
const JWT_ISSUED_S = 1_735_689_600
const JWT_EXPIRES_S = 4_102_444_800
const JWT_ISSUER = 'sallyport'

/** How every placeholder in the shape of a JWT begins. */
export const JWT_BEGINNING: string = `${encode(JWT_HEADER)}.${encode({ iss: JWT_ISSUER }).slice(0, 24)}`

/**
 * Derives a placeholder: the prefix, then characters of the alphabet up to the length, 16 of them at the least; or a JWT.
 * @param key of the installation, 32 bytes
 */
export function derivePlaceholder(
  key: Uint8Array,
  taskId: string,
  credential: string,
  shape: Shape,
): string {
  const owner = { taskId, credential }
  if (shape.shape === 'jwt') return deriveJwt(key, owner, shape)
  const { prefix, alphabet = 'alphanumeric' } = shape
  const length = Math.max(shape.length - prefix.length, DERIVED_MIN)
  return prefix + deriveText(key, owner, shape, ALPHABETS[alphabet], length)
}

/** Lists what of a placeholder is random. */
export function piecesOf(text: string, { prefix, shape }: Shape): readonly string[] {
  if (shape !== 'jwt') return [text.slice(prefix.length)]
  const [, claims = '', signature = ''] = text.split('.')
  const { jti }: { readonly jti: string } = JSON.parse(Buffer.from(claims, 'base64url').toString())
  // What is fixed in the claims stands before their id.
  return [signature, jti, claims.slice(-JWT_ID_LENGTH)]
}

// What says who is not signed by anybody: it has to be readable, not to be believed.
function deriveJwt(key: Uint8Array, owner: Owner, shape: Shape): string {
  const jti = deriveText(key, owner, shape, ALPHABETS.alphanumeric, JWT_ID_LENGTH)
  const claims = {
    iss: JWT_ISSUER,
    sub: 'placeholder',
    iat: JWT_ISSUED_S,
    exp: JWT_EXPIRES_S,
    jti,
  }
  const signature = deriveBytes(key, owner, shape, 'signature').toString('base64url')
  return `${encode(JWT_HEADER)}.${encode(claims)}.${signature}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function deriveText(
  key: Uint8Array,
  owner: Owner,
  shape: Shape,
  alphabet: string,
  length: number,
): string {
  // The largest multiple of the alphabet's length in a byte: beyond it a character would be likelier than another.
  const fairMax = 256 - (256 % alphabet.length)
  let text = ''
  for (let block = 0; text.length < length; block += 1)
    for (const byte of deriveBytes(key, owner, shape, String(block)))
      if (byte < fairMax && text.length < length) text += alphabet[byte % alphabet.length]
  return text
}

function deriveBytes(
  key: Uint8Array,
  { taskId, credential }: Owner,
  { part }: Shape,
  block: string,
): Buffer {
  const names = part === undefined ? [taskId, credential] : [taskId, credential, part]
  return createHmac('sha256', key)
    .update([...names, block].join('\n'))
    .digest()
}
