// Writes the answer to a DNS query: its question as it came, one address or none, and with EDNS why it is refused (RFC 8914).
// However it is asked an answer has less than 512 octets, which every client takes over UDP: nothing is ever cut, and nobody
// is answered with much more than was sent. Pure. Called by `listen/dns-door.ts`.

import ipaddr from 'ipaddr.js'

import type { DnsQuery } from './dns-query.ts'

/** Response codes (RFC 1035 section 4.1.1, RFC 6891 section 9). */
export const RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const

/** One of the response codes. */
export type Rcode = (typeof RCODE)[keyof typeof RCODE]

/** Why a query is refused, for whoever looks: Extended DNS Errors (RFC 8914 section 4). */
export const EXTENDED_ERROR = { notReady: 14, blocked: 15, prohibited: 18 } as const

/** What is answered. */
export interface DnsReply {
  readonly rcode: Rcode
  /** Of the type that was asked for; undefined: there is none. */
  readonly address?: string
  /** How long the address may be kept. */
  readonly ttlSeconds?: number
  /** Told to clients with EDNS alone. */
  readonly extended?: { readonly code: number; readonly text: string }
}

/** The longest answer there is, octets; RFC 1035 section 4.2.1: what no client over UDP refuses. */
export const DNS_ANSWER_BYTES_MAX = 512

const HEADER_BYTES = 12
// The name is that of the question: a pointer to it (RFC 1035 section 4.1.4).
const QUESTION_POINTER = 0xc00c
const RECORD_HEADER_BYTES = 12
const OPT_BYTES = 11
const OPTION_HEADER_BYTES = 4
const OPT = 41
const EXTENDED_OPTION = 15
const EXTENDED_TEXT_BYTES_MAX = 120
// What a resolver says of itself that is reached over a network without fragments.
const EDNS_BYTES = 1232
const QR = 0x8000
const RD = 0x0100
const RA = 0x0080
const CD = 0x0010
const DO = 0x8000
const IN = 1
const A = 1
const AAAA = 28

/** Writes an answer. Without a question that could be read it is the header alone (RFC 1035 section 4.1.1). */
export function writeDnsAnswer(query: DnsQuery, reply: DnsReply): Uint8Array {
  const question = query.questionBytes ?? new Uint8Array()
  const address =
    reply.address === undefined ? undefined : ipaddr.parse(reply.address).toByteArray()
  const text = extendedText(query, reply)
  const bytes = new Uint8Array(
    HEADER_BYTES +
      question.length +
      (address === undefined ? 0 : RECORD_HEADER_BYTES + address.length) +
      (query.edns === undefined ? 0 : OPT_BYTES) +
      (text === undefined ? 0 : OPTION_HEADER_BYTES + 2 + text.length),
  )
  const view = new DataView(bytes.buffer)
  view.setUint16(0, query.id)
  view.setUint16(2, flagsOf(query, reply.rcode))
  view.setUint16(4, question.length === 0 ? 0 : 1)
  view.setUint16(6, address === undefined ? 0 : 1)
  view.setUint16(10, query.edns === undefined ? 0 : 1)
  bytes.set(question, HEADER_BYTES)
  let at = HEADER_BYTES + question.length
  if (address !== undefined) {
    view.setUint16(at, QUESTION_POINTER)
    view.setUint16(at + 2, address.length === 4 ? A : AAAA)
    view.setUint16(at + 4, IN)
    view.setUint32(at + 6, reply.ttlSeconds ?? 0)
    view.setUint16(at + 10, address.length)
    bytes.set(address, at + RECORD_HEADER_BYTES)
    at += RECORD_HEADER_BYTES + address.length
  }
  if (query.edns !== undefined) writeEdns(bytes, view, at, query, reply, text)
  return bytes
}

// Recursion is said to be available: without it clients take an empty answer for that of a server that knows nothing, and ask on.
function flagsOf({ opcode, recursionDesired, checkingDisabled }: DnsQuery, rcode: Rcode): number {
  return (
    QR |
    (opcode << 11) |
    (recursionDesired ? RD : 0) |
    RA |
    (checkingDisabled ? CD : 0) |
    (rcode & 0xf)
  )
}

function writeEdns(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  { edns }: DnsQuery,
  { rcode, extended }: DnsReply,
  text: Uint8Array | undefined,
): void {
  view.setUint16(at + 1, OPT)
  view.setUint16(at + 3, EDNS_BYTES)
  bytes[at + 5] = rcode >> 4
  view.setUint16(at + 7, edns?.wantsSignatures === true ? DO : 0)
  if (extended === undefined || text === undefined) return
  view.setUint16(at + 9, OPTION_HEADER_BYTES + 2 + text.length)
  view.setUint16(at + 11, EXTENDED_OPTION)
  view.setUint16(at + 13, 2 + text.length)
  view.setUint16(at + 15, extended.code)
  bytes.set(text, at + 17)
}

function extendedText({ edns }: DnsQuery, { extended }: DnsReply): Uint8Array | undefined {
  if (edns === undefined || extended === undefined) return undefined
  return new TextEncoder().encode(extended.text).subarray(0, EXTENDED_TEXT_BYTES_MAX)
}
