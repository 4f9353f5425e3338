// DNS as the probes speak it: one question, one answer. Pure. Called by the probes of DNS and gateways.

import { randomInt } from 'node:crypto'

import { decode, encode, RECURSION_DESIRED } from 'dns-packet'

/** What a server said. */
export interface DnsAnswer {
  /** `NOERROR`, `NXDOMAIN`, `REFUSED`, … */
  readonly code: string
  readonly addresses: readonly string[]
}

/** A question for the IPv4 addresses of a name. */
export interface DnsQuestion {
  readonly bytes: Uint8Array
  /** Reads what answers it; undefined for anything else. */
  readonly read: (bytes: Buffer) => DnsAnswer | undefined
}

/** Makes a question. */
export function askFor(name: string): DnsQuestion {
  const id = randomInt(65_536)
  const bytes = encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED,
    questions: [{ type: 'A', name }],
  })
  return { bytes, read: (answer) => readAnswer(answer, id) }
}

/** A message as it goes over TCP. @see RFC 1035 section 4.2.2 */
export function withLength(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Whether a message over TCP is there whole. */
export function isWholeMessage(bytes: Buffer): boolean {
  return bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)
}

function readAnswer(bytes: Buffer, id: number): DnsAnswer | undefined {
  try {
    const packet = decode(bytes)
    if (packet.id !== id || packet.type !== 'response') return undefined
    const addresses = (packet.answers ?? []).flatMap((one) => (one.type === 'A' ? [one.data] : []))
    return { code: String(Reflect.get(packet, 'rcode')), addresses }
  } catch {
    return undefined
  }
}
