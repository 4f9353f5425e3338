// X.509 certificates, the structure by node-forge, keys and signatures by node:crypto: forge knows no elliptic curves and
// signs slowly. What is made passes OpenSSL's strict checks and Python's: every certificate carries a subject and an
// authority key identifier. Called by `ca.ts` and `leaf.ts`. @see RFC 5280

import { createHash, createPublicKey, randomBytes, sign, type KeyObject } from 'node:crypto'

import forge from 'node-forge'

const { asn1 } = forge

/** What a certificate says. */
export interface CertificateFields {
  /** Empty for a leaf: the alternative name says it all and has no length limit. */
  readonly subject: readonly NameAttribute[]
  readonly issuer: readonly NameAttribute[]
  readonly publicKey: KeyObject
  /** Key identifier of the issuer's key. */
  readonly issuerKeyId: Buffer
  /** Epoch milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly ca: boolean
  readonly alternativeName?:
    | { readonly kind: 'name'; readonly text: string }
    | { readonly kind: 'ip'; readonly bytes: Uint8Array }
}

/** One attribute of a name. */
export interface NameAttribute {
  readonly oid: '2.5.4.3' | '2.5.4.10'
  readonly text: string
}

const ECDSA_SHA256 = '1.2.840.10045.4.3.2'
const SERIAL_BYTES = 16
const LINE_CHARACTERS = 64

const universal = asn1.Class.UNIVERSAL
type Node = forge.asn1.Asn1

/** Makes and signs a certificate, PEM. */
export function makeCertificate(fields: CertificateFields, issuerKey: KeyObject): string {
  const tbs = asn1.toDer(toBeSigned(fields)).getBytes()
  const signature = sign('sha256', Buffer.from(tbs, 'binary'), issuerKey)
  const certificate = sequence([
    asn1.fromDer(tbs),
    algorithm(),
    asn1.create(universal, asn1.Type.BITSTRING, false, `\0${signature.toString('binary')}`),
  ])
  return toPem(Buffer.from(asn1.toDer(certificate).getBytes(), 'binary'))
}

/** The identifier of a key: SHA-1 of its bits. @see RFC 5280 section 4.2.1.2 */
export function keyIdOf(publicKey: KeyObject): Buffer {
  const spki = asn1.fromDer(spkiOf(publicKey))
  const parts = spki.value as Node[]
  // The bit string's content without its count of unused bits.
  const bits = (parts[1]!.value as string).slice(1)
  return createHash('sha1').update(Buffer.from(bits, 'binary')).digest()
}

function toBeSigned(fields: CertificateFields): Node {
  return sequence([
    asn1.create(asn1.Class.CONTEXT_SPECIFIC, 0, true, [integer('\x02')]),
    integer(makeSerial()),
    algorithm(),
    name(fields.issuer),
    sequence([time(fields.notBefore), time(fields.notAfter)]),
    name(fields.subject),
    asn1.fromDer(spkiOf(fields.publicKey)),
    asn1.create(asn1.Class.CONTEXT_SPECIFIC, 3, true, [sequence(extensions(fields))]),
  ])
}

function extensions(fields: CertificateFields): Node[] {
  const list = [
    extension('2.5.29.14', false, octets(keyIdOf(fields.publicKey).toString('binary'))),
    extension(
      '2.5.29.35',
      false,
      sequence([
        asn1.create(asn1.Class.CONTEXT_SPECIFIC, 0, false, fields.issuerKeyId.toString('binary')),
      ]),
    ),
    extension('2.5.29.19', true, sequence(fields.ca ? [boolean(true), integer('\0')] : [])),
    // Of nine bits: keyCertSign and cRLSign for a CA, digitalSignature for a leaf.
    extension('2.5.29.15', true, bits(fields.ca ? '\x01\x06' : '\x07\x80')),
  ]
  if (fields.ca) return list
  list.push(extension('2.5.29.37', false, sequence([oid('1.3.6.1.5.5.7.3.1')])))
  const { alternativeName } = fields
  if (alternativeName) {
    const [tag, text] =
      alternativeName.kind === 'name'
        ? [2, alternativeName.text]
        : [7, Buffer.from(alternativeName.bytes).toString('binary')]
    // RFC 5280 section 4.2.1.6: critical where the subject is empty.
    list.push(
      extension(
        '2.5.29.17',
        fields.subject.length === 0,
        sequence([asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, false, text)]),
      ),
    )
  }
  return list
}

// Positive, never zero, 126 bits of chance.
function makeSerial(): string {
  const serial = randomBytes(SERIAL_BYTES)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial.toString('binary')
}

function extension(id: string, critical: boolean, value: Node): Node {
  const wrapped = octets(asn1.toDer(value).getBytes())
  return sequence(critical ? [oid(id), boolean(true), wrapped] : [oid(id), wrapped])
}

function name(attributes: readonly NameAttribute[]): Node {
  return sequence(
    attributes.map(({ oid: id, text }) =>
      asn1.create(universal, asn1.Type.SET, true, [
        sequence([
          oid(id),
          asn1.create(universal, asn1.Type.UTF8, false, forge.util.encodeUtf8(text)),
        ]),
      ]),
    ),
  )
}

function time(at: number): Node {
  const date = new Date(Math.floor(at / 1000) * 1000)
  // RFC 5280 section 4.1.2.5: UTCTime through 2049.
  return date.getUTCFullYear() < 2050
    ? asn1.create(
        universal,
        asn1.Type.UTCTIME,
        false,
        asn1.dateToUtcTime(date) as unknown as string,
      )
    : asn1.create(
        universal,
        asn1.Type.GENERALIZEDTIME,
        false,
        asn1.dateToGeneralizedTime(date) as unknown as string,
      )
}

function spkiOf(publicKey: KeyObject): string {
  return publicKey.export({ type: 'spki', format: 'der' }).toString('binary')
}

function algorithm(): Node {
  return sequence([oid(ECDSA_SHA256)])
}

function sequence(values: Node[]): Node {
  return asn1.create(universal, asn1.Type.SEQUENCE, true, values)
}

function oid(text: string): Node {
  return asn1.create(universal, asn1.Type.OID, false, asn1.oidToDer(text).getBytes())
}

function integer(bytes: string): Node {
  return asn1.create(universal, asn1.Type.INTEGER, false, bytes)
}

function boolean(value: boolean): Node {
  return asn1.create(universal, asn1.Type.BOOLEAN, false, value ? '\xff' : '\0')
}

function octets(bytes: string): Node {
  return asn1.create(universal, asn1.Type.OCTETSTRING, false, bytes)
}

function bits(bytes: string): Node {
  return asn1.create(universal, asn1.Type.BITSTRING, false, bytes)
}

// A blank line before the end would break OpenSSL's reader.
function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** The public half of a private key. */
export function publicKeyOf(privateKey: KeyObject): KeyObject {
  return createPublicKey(privateKey)
}
