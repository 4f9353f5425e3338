// X.509 certificates, the structure by node-forge, keys and signatures by node:crypto: forge knows no elliptic curves and
// signs slowly. What is made passes OpenSSL's strict checks and Python's: every certificate carries a subject and an
// authority key identifier. Forge is loaded by the first certificate that is made: a start with a CA makes none.
// Called by `ca.ts`, `task-ca.ts` and `leaf.ts`. @see RFC 5280

import { randomBytes, sign, type KeyObject } from 'node:crypto'
import { createRequire } from 'node:module'

import type forge from 'node-forge'

import { keyIdOf, keyInfoOf } from './issuer.ts'

/** What a certificate says. */
export interface CertificateFields {
  /** DER of a name. Empty for a leaf: the alternative name says it all and has no length limit. */
  readonly subject: Buffer
  /** DER of the issuer's subject, byte for byte. */
  readonly issuer: Buffer
  readonly publicKey: KeyObject
  /** Key identifier of the issuer's key. */
  readonly issuerKeyId: Buffer
  /** Epoch milliseconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly ca: boolean
  /** Of a CA: how many other CAs may stand between it and a leaf, 0 to 127; 0 unless given. */
  readonly pathLength?: number
  /** Of a CA: DER of what its leaves may be named; anything unless given. */
  readonly nameConstraints?: Buffer
  readonly alternativeNames?: readonly AlternativeName[]
}

/** One name that a certificate is for. */
export type AlternativeName =
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'ip'; readonly bytes: Uint8Array }

/** One attribute of a name. */
export interface NameAttribute {
  readonly oid: '2.5.4.3' | '2.5.4.10'
  readonly text: string
}

const ECDSA_SHA256 = '1.2.840.10045.4.3.2'
const SUBJECT_KEY_ID = '2.5.29.14'
const SERIAL_BYTES = 16
const SEQUENCE = 0x30
const LINE_CHARACTERS = 64

type Node = forge.asn1.Asn1

const require = createRequire(import.meta.url)
let loaded: typeof forge.asn1 | undefined

/** The name of nobody: a sequence of nothing. */
export const EMPTY_NAME: Buffer = Buffer.of(0x30, 0)

/** Makes and signs a certificate, PEM. */
export function makeCertificate(fields: CertificateFields, issuerKey: KeyObject): string {
  const tbs = toBeSigned(fields)
  const signature = sign('sha256', tbs, issuerKey)
  const signed = bits(`\0${signature.toString('binary')}`)
  return toPem(sequenceOf([tbs, derOf(algorithm()), derOf(signed)]))
}

/** DER of a name of such attributes, in their order. */
export function encodeName(attributes: readonly NameAttribute[]): Buffer {
  const name = sequence(
    attributes.map(({ oid: id, text }) =>
      asn1().create(asn1().Class.UNIVERSAL, asn1().Type.SET, true, [
        sequence([
          oid(id),
          asn1().create(
            asn1().Class.UNIVERSAL,
            asn1().Type.UTF8,
            false,
            Buffer.from(text).toString('binary'),
          ),
        ]),
      ]),
    ),
  )
  return derOf(name)
}

function asn1(): typeof forge.asn1 {
  if (loaded === undefined) {
    // Synchronous, so that minting is one flight.
    const library: typeof forge = require('node-forge')
    loaded = library.asn1
  }
  return loaded
}

// What is DER already stays as it is.
function toBeSigned(fields: CertificateFields): Buffer {
  return sequenceOf([
    derOf(asn1().create(asn1().Class.CONTEXT_SPECIFIC, 0, true, [integer('\x02')])),
    derOf(integer(makeSerial())),
    derOf(algorithm()),
    fields.issuer,
    derOf(sequence([time(fields.notBefore), time(fields.notAfter)])),
    fields.subject,
    keyInfoOf(fields.publicKey),
    derOf(asn1().create(asn1().Class.CONTEXT_SPECIFIC, 3, true, [sequence(extensions(fields))])),
  ])
}

function extensions(fields: CertificateFields): Node[] {
  const list = [
    extension(SUBJECT_KEY_ID, false, octets(keyIdOf(fields.publicKey).toString('binary'))),
    extension(
      '2.5.29.35',
      false,
      sequence([
        asn1().create(
          asn1().Class.CONTEXT_SPECIFIC,
          0,
          false,
          fields.issuerKeyId.toString('binary'),
        ),
      ]),
    ),
    extension('2.5.29.19', true, sequence(fields.ca ? [boolean(true), pathLength(fields)] : [])),
    // Of nine bits: keyCertSign and cRLSign for a CA, digitalSignature for a leaf.
    extension('2.5.29.15', true, bits(fields.ca ? '\x01\x06' : '\x07\x80')),
  ]
  if (fields.nameConstraints) list.push(extension('2.5.29.30', true, parse(fields.nameConstraints)))
  if (fields.ca) return list
  list.push(extension('2.5.29.37', false, sequence([oid('1.3.6.1.5.5.7.3.1')])))
  const { alternativeNames } = fields
  if (alternativeNames)
    // RFC 5280 section 4.2.1.6: critical where the subject is empty.
    list.push(
      extension(
        '2.5.29.17',
        fields.subject.equals(EMPTY_NAME),
        sequence(alternativeNames.map(generalName)),
      ),
    )
  return list
}

function pathLength({ pathLength: length = 0 }: CertificateFields): Node {
  return integer(String.fromCharCode(length))
}

function generalName(name: AlternativeName): Node {
  const [tag, text] =
    name.kind === 'name' ? [2, name.text] : [7, Buffer.from(name.bytes).toString('binary')]
  return asn1().create(asn1().Class.CONTEXT_SPECIFIC, tag, false, text)
}

// Positive, never zero, 126 bits of chance.
function makeSerial(): string {
  const serial = randomBytes(SERIAL_BYTES)
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial.toString('binary')
}

function extension(id: string, critical: boolean, value: Node): Node {
  const wrapped = octets(asn1().toDer(value).getBytes())
  return sequence(critical ? [oid(id), boolean(true), wrapped] : [oid(id), wrapped])
}

function time(at: number): Node {
  const date = new Date(Math.floor(at / 1000) * 1000)
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+Z$/g, '')
  // RFC 5280 section 4.1.2.5: UTCTime, two digits of the year, through 2049.
  return date.getUTCFullYear() < 2050
    ? asn1().create(asn1().Class.UNIVERSAL, asn1().Type.UTCTIME, false, `${digits.slice(2)}Z`)
    : asn1().create(asn1().Class.UNIVERSAL, asn1().Type.GENERALIZEDTIME, false, `${digits}Z`)
}

function parse(der: Buffer): Node {
  return asn1().fromDer(der.toString('binary'))
}

function derOf(node: Node): Buffer {
  return Buffer.from(asn1().toDer(node).getBytes(), 'binary')
}

// X.690 section 8.1.3: the length in one byte, or in so many behind the first.
function sequenceOf(elements: readonly Buffer[]): Buffer {
  const content = Buffer.concat(elements)
  const length = [content.length & 0xff]
  for (let left = content.length >>> 8; left > 0; left >>>= 8) length.unshift(left & 0xff)
  const more = content.length < 0x80 ? [] : [0x80 | length.length]
  return Buffer.concat([Buffer.of(SEQUENCE, ...more, ...length), content])
}

function algorithm(): Node {
  return sequence([oid(ECDSA_SHA256)])
}

function sequence(values: Node[]): Node {
  return asn1().create(asn1().Class.UNIVERSAL, asn1().Type.SEQUENCE, true, values)
}

function oid(text: string): Node {
  return asn1().create(
    asn1().Class.UNIVERSAL,
    asn1().Type.OID,
    false,
    asn1().oidToDer(text).getBytes(),
  )
}

function integer(bytes: string): Node {
  return asn1().create(asn1().Class.UNIVERSAL, asn1().Type.INTEGER, false, bytes)
}

function boolean(value: boolean): Node {
  return asn1().create(asn1().Class.UNIVERSAL, asn1().Type.BOOLEAN, false, value ? '\xff' : '\0')
}

function octets(bytes: string): Node {
  return asn1().create(asn1().Class.UNIVERSAL, asn1().Type.OCTETSTRING, false, bytes)
}

function bits(bytes: string): Node {
  return asn1().create(asn1().Class.UNIVERSAL, asn1().Type.BITSTRING, false, bytes)
}

// A blank line before the end would break OpenSSL's reader.
function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
