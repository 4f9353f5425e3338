// Writes certificates as a trust store that Java reads: PKCS #12 with certificates alone, neither encrypted nor sealed, since
// they are public. Deliberately writes no keys and reads nothing. Pure; called by `files.ts`. @see RFC 7292

const SEQUENCE = 0x30
const SET = 0x31
const OCTETS = 0x04
const WIDE_TEXT = 0x1e
const EXPLICIT = 0xa0

// Identifiers as DER has them.
const VERSION_3 = Buffer.from('020103', 'hex')
const DATA = Buffer.from('06092a864886f70d010701', 'hex')
const CERTIFICATE_BAG = Buffer.from('060b2a864886f70d010c0a0103', 'hex')
const X509_CERTIFICATE = Buffer.from('060a2a864886f70d01091601', 'hex')
const FRIENDLY_NAME = Buffer.from('06092a864886f70d010914', 'hex')
// 2.16.840.1.113894.746875.1.1: without it Java takes a certificate for one that belongs to a key, and trusts nothing by it.
const TRUSTED_KEY_USAGE = Buffer.from('060c6086480186f966adca7b0101', 'hex')
const ANY_KEY_USAGE = Buffer.from('0604551d2500', 'hex')

/**
 * Makes a PKCS #12 file in which each certificate is trusted for every use; it opens without a password, and the same
 * certificates make the same bytes.
 * @param certificates in PEM, one each
 */
export function makeTrustStore(certificates: readonly string[]): Buffer {
  const bags = certificates.map((pem, index) => bagOf(derOf(pem), String(index + 1)))
  const contents = dataOf(element(SEQUENCE, ...bags))
  return element(SEQUENCE, VERSION_3, dataOf(element(SEQUENCE, contents)))
}

function bagOf(der: Buffer, name: string): Buffer {
  const certificate = element(SEQUENCE, X509_CERTIFICATE, element(EXPLICIT, element(OCTETS, der)))
  const wide = Buffer.from(name, 'utf16le').swap16()
  const attributes = [
    element(SEQUENCE, FRIENDLY_NAME, element(SET, element(WIDE_TEXT, wide))),
    element(SEQUENCE, TRUSTED_KEY_USAGE, element(SET, ANY_KEY_USAGE)),
  ]
  // DER has the members of a set in the order of their bytes.
  const ordered = element(SET, ...attributes.toSorted((one, other) => one.compare(other)))
  return element(SEQUENCE, CERTIFICATE_BAG, element(EXPLICIT, certificate), ordered)
}

function dataOf(content: Buffer): Buffer {
  return element(SEQUENCE, DATA, element(EXPLICIT, element(OCTETS, content)))
}

// The lines between the first and the last; the decoder skips line ends. A start does this for every public root.
function derOf(pem: string): Buffer {
  const text = pem.trim()
  return Buffer.from(text.slice(text.indexOf('\n') + 1, text.lastIndexOf('\n')), 'base64')
}

function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const sizeBytes = sizeOf(length)
  const made = Buffer.allocUnsafe(1 + sizeBytes + length)
  made[0] = tag
  if (sizeBytes === 1) made[1] = length
  else {
    made[1] = 0x80 | (sizeBytes - 1)
    made.writeUIntBE(length, 2, sizeBytes - 1)
  }
  let at = 1 + sizeBytes
  for (const part of parts) {
    made.set(part, at)
    at += part.length
  }
  return made
}

// Bytes that say a length: itself, or how many bytes of it follow.
function sizeOf(length: number): number {
  if (length < 0x80) return 1
  if (length < 0x100) return 2
  return length < 0x10000 ? 3 : 4
}
