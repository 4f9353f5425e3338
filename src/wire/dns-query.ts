// Reads a DNS query as a stranger sent it: one question, no answers, at most EDNS behind it (RFC 1035, RFC 6891). The question
// is read octet by octet and kept as it came, as a reader that makes texts of names loses what tells them apart: a dot inside a
// label, octets that are no text. Pure; never throws. Called by `listen/dns-door.ts`.

import { normalizeHost } from './authority.ts'

/** What is asked. */
export interface DnsQuestion {
  /** The name as it is written in files (RFC 1035 section 5.1), without its last dot: what is no text is `\DDD`. */
  readonly name: string
  /** In normal form; undefined where it is the name of no host that this proxy could read without doubt. */
  readonly host: string | undefined
  readonly type: number
  readonly class: number
}

/** What a client says of itself by EDNS. */
interface Edns {
  readonly version: number
  /** Whether it wants signatures: given back as it came (RFC 3225 section 3). */
  readonly wantsSignatures: boolean
}

/** A message that asks. */
export interface DnsQuery {
  readonly id: number
  readonly opcode: number
  readonly recursionDesired: boolean
  readonly checkingDisabled: boolean
  /** Absent where there is not exactly one, or it is no question. */
  readonly question?: DnsQuestion
  /** The octets of the question as they came. */
  readonly questionBytes?: Uint8Array
  readonly edns?: Edns
  /** What is wrong with its form; undefined: nothing. */
  readonly fault: string | undefined
}

/** The longest message that is read: a question, EDNS and room for options nobody needs. */
export const DNS_QUERY_BYTES_MAX = 4096

const HEADER_BYTES = 12
const NAME_BYTES_MAX = 255
const LABEL_BYTES_MAX = 63
const QUESTION_TAIL_BYTES = 4
// Root name, type, size, version and flags, length.
const OPT_HEADER_BYTES = 11
const OPT = 41
const QR = 0x8000
const RD = 0x0100
const CD = 0x0010
const DO = 0x8000

/**
 * Reads a message; undefined where nothing may be answered: what is no message, and what is an answer itself, so that no two
 * who answer can be made to answer each other.
 */
export function readDnsQuery(bytes: Uint8Array): DnsQuery | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < HEADER_BYTES) return undefined
  const flags = view.getUint16(2)
  if ((flags & QR) !== 0) return undefined
  const head = {
    id: view.getUint16(0),
    opcode: (flags >> 11) & 0xf,
    recursionDesired: (flags & RD) !== 0,
    checkingDisabled: (flags & CD) !== 0,
  }
  // Other operations have sections of their own.
  if (head.opcode !== 0) return { ...head, fault: undefined }
  if (bytes.length > DNS_QUERY_BYTES_MAX) return { ...head, fault: 'length' }
  if (view.getUint16(4) !== 1) return { ...head, fault: 'questions' }
  const question = readQuestion(bytes, view)
  if (typeof question === 'string') return { ...head, fault: question }
  const { end, ...asked } = question
  const known = { ...head, question: asked, questionBytes: bytes.slice(HEADER_BYTES, end) }
  if (view.getUint16(6) + view.getUint16(8) !== 0) return { ...known, fault: 'sections' }
  const additional = view.getUint16(10)
  if (additional > 1) return { ...known, fault: 'additional' }
  if (additional === 0) return { ...known, fault: end === bytes.length ? undefined : 'trailing' }
  const edns = readEdns(bytes, view, end)
  if (typeof edns === 'string') return { ...known, fault: edns }
  return { ...known, edns, fault: undefined }
}

// The first name of a message has nothing before it to point at: a pointer is a fault, and no loop is possible.
function readQuestion(
  bytes: Uint8Array,
  view: DataView,
): (DnsQuestion & { readonly end: number }) | string {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (;;) {
    const length = bytes[at]
    if (length === undefined) return 'name'
    at += 1
    if (length === 0) break
    if (length > LABEL_BYTES_MAX) return length >= 0xc0 ? 'pointer' : 'label'
    if (at + length > bytes.length || at + length - HEADER_BYTES >= NAME_BYTES_MAX) return 'name'
    labels.push(writeLabel(bytes.subarray(at, at + length)))
    at += length
  }
  const end = at + QUESTION_TAIL_BYTES
  if (end > bytes.length) return 'question'
  const name = labels.join('.')
  return { name, host: hostOf(name), type: view.getUint16(at), class: view.getUint16(at + 2), end }
}

function writeLabel(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x2e && byte !== 0x5c
    text += isPlain ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, '0')}`
  }
  return text
}

function hostOf(name: string): string | undefined {
  if (name === '') return undefined
  try {
    const { host, kind } = normalizeHost(name)
    return kind === 'name' ? host : undefined
  } catch {
    // No rule can be about it.
    return undefined
  }
}

function readEdns(bytes: Uint8Array, view: DataView, at: number): Edns | string {
  const end = at + OPT_HEADER_BYTES
  if (end > bytes.length || bytes[at] !== 0 || view.getUint16(at + 1) !== OPT) return 'additional'
  // What its options say nobody here asks; they have to end where they say.
  if (end + view.getUint16(at + 9) !== bytes.length) return 'edns'
  return { version: bytes[at + 6]!, wantsSignatures: (view.getUint16(at + 7) & DO) !== 0 }
}
