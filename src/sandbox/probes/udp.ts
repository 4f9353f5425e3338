// Datagrams straight to elsewhere: QUIC, time, address discovery. An answer is a way out; DNS has its own probe.
// Called by `inside.ts`.

import { randomBytes } from 'node:crypto'

import { reporterFor, type Finding } from '../finding.ts'
import { sendDatagram } from './knock.ts'
import { failureWords } from './ours.ts'
import type { Probe } from './probe.ts'

const { ok, fail } = reporterFor('udp')

const MEND = 'drop what leaves the sandbox by UDP, or let it have no route but to the sidecar'
const QUIC_BYTES = 1200
const NTP_BYTES = 48

/** What is sent where: each is answered by every server of its kind. */
const ASKED: readonly { readonly port: number; readonly name: string; readonly payload: Buffer }[] =
  [
    { port: 443, name: 'QUIC', payload: quicHello() },
    { port: 123, name: 'NTP', payload: ntpQuery() },
    { port: 3478, name: 'STUN', payload: stunRequest() },
  ]

/** Sends each to each target at once. */
export const probeUdp: Probe = (around) =>
  Promise.all(around.targets.flatMap((host) => ASKED.map((asked) => tryPort(host, asked))))

async function tryPort(
  host: string,
  { port, name, payload }: (typeof ASKED)[number],
): Promise<Finding> {
  const tried = `UDP (${name}) to ${host}, port ${port}`
  const result = await sendDatagram(host, port, payload)
  return result.kind === 'answered'
    ? fail(tried, `${result.bytes.length} bytes came back`, 'a way out around the sidecar', MEND)
    : ok(tried, failureWords(result), 'no way out')
}

/** A version that nobody speaks, which every server answers with those it does. @see RFC 9000 section 6 */
function quicHello(): Buffer {
  const id = randomBytes(8)
  const head = [Buffer.from([0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8]), id, Buffer.from([8]), id]
  return Buffer.concat([...head, Buffer.alloc(QUIC_BYTES)], QUIC_BYTES)
}

/** A client's question, version 4. @see RFC 5905 section 7.3 */
function ntpQuery(): Buffer {
  const query = Buffer.alloc(NTP_BYTES)
  query[0] = 0x23
  return query
}

/** A binding request. @see RFC 8489 section 5 */
function stunRequest(): Buffer {
  return Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), randomBytes(12)])
}
