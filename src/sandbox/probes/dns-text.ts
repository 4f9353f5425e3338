// DNS as the probes speak it: one question, one answer. Pure. Called by the probes of DNS and gateways.

import { randomInt } from 'node:crypto'

import { decode, encode, RECURSION_DESIRED, type OptAnswer } from 'dns-packet'

/** What a server said. */
export interface DnsAnswer {
  /** `NOERROR`, `NXDOMAIN`, `REFUSED`, … */
  readonly code: string
  readonly addresses: readonly string[]
  /** Whether the answer says of itself that it is a refusal of the sidecar's. @see RFC 8914 section 2 */
  readonly isOurRefusal: boolean
}

/** A question for the IPv4 addresses of a name. */
export interface DnsQuestion {
  readonly bytes: Uint8Array
  /** Reads what answers it; undefined for anything else. */
  readonly read: (bytes: Buffer) => DnsAnswer | undefined
}

/** How the text of the sidecar's refusals begins. */
const REFUSAL = 'sallyport: '
const OPT: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

/** Makes a question. */
export function askFor(name: string): DnsQuestion {
  const id = randomInt(65_536)
  const bytes = encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED,
    questions: [{ type: 'A', name }],
    // Without it nobody says why something is refused.
    additionals: [OPT],
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
    const isOurRefusal = addresses.length === 0 && bytes.includes(REFUSAL)
    return { code: String(Reflect.get(packet, 'rcode')), addresses, isOurRefusal }
  } catch {
    return undefined
  }
}
