// What certificates issued by a CA have to say of it, and what its own extensions say, read from its certificate and its key
// without a library: node gives a subject as text only, and the text is not enough to repeat its bytes. Deliberately reads
// only certificates that node's own parser has accepted. Called by `ca.ts`, `task-ca.ts`, `certificate.ts` and `leaf.ts`.
// @see RFC 5280

import { createHash, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'

/** One element of DER: its tag, its content, and its bytes as they stand. */
interface Element {
  readonly tag: number
  readonly content: Buffer
  readonly whole: Buffer
}

const SUBJECT_KEY_ID = Buffer.of(0x55, 0x1d, 0x0e)
const EXTENSIONS_TAG = 0xa3
const VERSION_TAG = 0xa0

/**
 * The identifier of an elliptic-curve key: SHA-1 of its point.
 * @see RFC 5280 section 4.2.1.2
 */
export function keyIdOf(publicKey: KeyObject): Buffer {
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const point = Buffer.concat([
    Buffer.of(4),
    Buffer.from(x, 'base64url'),
    Buffer.from(y, 'base64url'),
  ])
  return createHash('sha1').update(point).digest()
}

/** The public half of a private key. */
export function publicKeyOf(privateKey: KeyObject): KeyObject {
  return createPublicKey(privateKey)
}

/** What certificates issued by this one have to say of it: its subject as it is written, and its key identifier if it has one. */
export function readIssuer(certificate: X509Certificate): {
  readonly name: Buffer
  readonly keyId: Buffer | undefined
} {
  const fields = fieldsOf(certificate)
  // Serial, algorithm, issuer, validity and subject, behind the version where it is written.
  const subject = fields[fields[0]?.tag === VERSION_TAG ? 5 : 4]
  if (subject === undefined) throw new Error('the certificate has no subject')
  const keyId = readExtension(certificate, SUBJECT_KEY_ID)
  return { name: subject.whole, keyId: elementsIn(keyId)[0]?.content }
}

/**
 * The DER of one of a certificate's extensions; undefined where it has none of that kind.
 * @param id the content of its object identifier
 */
export function readExtension(certificate: X509Certificate, id: Buffer): Buffer | undefined {
  const holder = fieldsOf(certificate).find(({ tag }) => tag === EXTENSIONS_TAG)
  const [extensions] = elementsIn(holder?.content)
  const found = elementsIn(extensions?.content)
    .map(({ content }) => elementsIn(content))
    .find(([kind]) => kind?.content.equals(id))
  return found?.at(-1)?.content
}

function fieldsOf(certificate: X509Certificate): Element[] {
  const [tbs] = elementsIn(elementsIn(certificate.raw)[0]?.content)
  return elementsIn(tbs?.content)
}

/** The elements that stand one behind the other; what does not hold its own length is none. */
function elementsIn(bytes: Buffer = Buffer.of()): Element[] {
  const found: Element[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const short = bytes[at + 1]!
    // Long form: so many bytes of length follow.
    const more = short < 0x80 ? 0 : short & 0x7f
    const begin = at + 2 + more
    if (more > 4 || begin > bytes.length) break
    const length = more === 0 ? short : bytes.readUIntBE(at + 2, more)
    const end = begin + length
    if (end > bytes.length) break
    found.push({
      tag: bytes[at]!,
      content: bytes.subarray(begin, end),
      whole: bytes.subarray(at, end),
    })
    at = end
  }
  return found
}
