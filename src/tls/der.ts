// Reads what certificates say where node's parser gives text only, and the text is not enough: DER, as far as certificates
// have it, without a library. Deliberately reads only certificates that node's own parser has accepted. Pure; called by
// `issuer.ts` and `svid.ts`. @see RFC 5280, X.690

import type { X509Certificate } from 'node:crypto'

/** One element of DER: its tag, its content, and its bytes as they stand. */
export interface Element {
  readonly tag: number
  readonly content: Buffer
  readonly whole: Buffer
}

/** An extension: its identifier's bytes, and the DER that is its value. */
export interface Extension {
  readonly id: Buffer
  readonly value: Buffer
}

const EXTENSIONS_TAG = 0xa3

/** The fields of a certificate that are signed. */
export function fieldsOf(certificate: X509Certificate): Element[] {
  const [tbs] = elementsIn(elementsIn(certificate.raw)[0]?.content)
  return elementsIn(tbs?.content)
}

/** The extensions of a certificate, in their order. */
export function extensionsOf(certificate: X509Certificate): Extension[] {
  const holder = fieldsOf(certificate).find(({ tag }) => tag === EXTENSIONS_TAG)
  const [list] = elementsIn(holder?.content)
  return elementsIn(list?.content).flatMap(({ content }) => {
    // Between the two stands whether it is critical, where it is.
    const parts = elementsIn(content)
    const [id, value] = [parts[0], parts.at(-1)]
    return id && value ? [{ id: id.content, value: value.content }] : []
  })
}

/** The elements that stand one behind the other; what does not hold its own length is none, and nothing behind it. */
export function elementsIn(bytes: Buffer = Buffer.of()): Element[] {
  const found: Element[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const tag = bytes[at]!
    const short = bytes[at + 1]!
    // A tag of several bytes, and a length that is told at the end, are not of DER's certificates.
    if ((tag & 0x1f) === 0x1f || short === 0x80) break
    // Long form: so many bytes of length follow.
    const more = short < 0x80 ? 0 : short & 0x7f
    const begin = at + 2 + more
    if (more > 4 || begin > bytes.length) break
    const length = more === 0 ? short : bytes.readUIntBE(at + 2, more)
    const end = begin + length
    if (end > bytes.length) break
    found.push({ tag, content: bytes.subarray(begin, end), whole: bytes.subarray(at, end) })
    at = end
  }
  return found
}
