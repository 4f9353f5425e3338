// Asks DNS servers for a name's addresses: UDP with a random id and port, TCP where the answer is cut, the next server
// where one does not answer. Answers that do not match the question are dropped. Called by `resolve.ts`.

import { randomInt } from 'node:crypto'
import dgram from 'node:dgram'
import net from 'node:net'

import { decode, encode, RECURSION_DESIRED, type Answer, type DecodedPacket } from 'dns-packet'

import { EgressError } from '../errors.ts'

/** A DNS server. */
export interface DnsServer {
  readonly address: string
  readonly port: number
}

/** What was found. */
export interface DnsAnswer {
  /** IPv4 first. */
  readonly addresses: readonly string[]
  /** The least of the answers'. */
  readonly ttlSeconds: number
}

type AddressType = 'A' | 'AAAA'

const CNAMES_MAX = 16
// A datagram may be lost: the same question is sent again after this, as long as there is time.
const RESEND_MS = 1000

/**
 * All A and AAAA records of a name. A family without an answer is no failure where the other has one; a family that
 * *fails* is, because an unseen answer is an unchecked one.
 * @throws resolve-failed
 */
export async function queryDns(
  host: string,
  servers: readonly DnsServer[],
  timeoutMs: number,
): Promise<DnsAnswer> {
  const deadline = AbortSignal.timeout(timeoutMs)
  const results = await Promise.all([
    ask(host, 'A', servers, deadline, timeoutMs),
    ask(host, 'AAAA', servers, deadline, timeoutMs),
  ])
  const found = results.flat()
  if (found.length === 0) throw new EgressError('resolve-failed', { answers: 0 })
  return {
    addresses: found.map(({ data }) => data),
    ttlSeconds: Math.min(...found.map(({ ttl }) => ttl)),
  }
}

async function ask(
  host: string,
  type: AddressType,
  servers: readonly DnsServer[],
  deadline: AbortSignal,
  timeoutMs: number,
): Promise<{ data: string; ttl: number }[]> {
  let failure: unknown
  // Each server gets its share of the time, so that a dead first one does not use it up.
  const shareMs = Math.max(200, timeoutMs / Math.max(1, servers.length))
  for (const server of servers) {
    const signal = AbortSignal.any([deadline, AbortSignal.timeout(shareMs)])
    try {
      return readAnswers(host, type, await exchange(host, type, server, signal))
    } catch (error) {
      failure = error
      if (deadline.aborted) break
    }
  }
  if (failure instanceof EgressError) throw failure
  throw new EgressError('resolve-failed', { type }, { cause: failure })
}

async function exchange(
  host: string,
  type: AddressType,
  server: DnsServer,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  const id = randomInt(65_536)
  const query = encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED,
    questions: [{ type, name: host }],
  })
  const isOurs = (packet: DecodedPacket): boolean =>
    packet.id === id &&
    packet.type === 'response' &&
    packet.questions?.length === 1 &&
    packet.questions[0]!.type === type &&
    packet.questions[0]!.name.toLowerCase() === host
  const answer = await overUdp(query, server, isOurs, signal)
  return answer.flag_tc ? overTcp(query, server, isOurs, signal) : answer
}

function overUdp(
  query: Uint8Array,
  server: DnsServer,
  isOurs: (packet: DecodedPacket) => boolean,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket(net.isIPv6(server.address) ? 'udp6' : 'udp4')
    let resend: NodeJS.Timeout | undefined
    let over = false
    const finish = (result: DecodedPacket | Error): void => {
      // Closing twice throws, and an error may follow the end.
      if (over) return
      over = true
      clearInterval(resend)
      signal.removeEventListener('abort', onAbort)
      socket.close()
      if (result instanceof Error) reject(result)
      else resolve(result)
    }
    const onAbort = (): void =>
      finish(new EgressError('resolve-failed', { why: 'no answer in time' }))
    socket.on('error', (error) => finish(error))
    socket.on('message', (bytes) => {
      const packet = tryDecode(bytes)
      // Anybody may send to this port: only what answers the question counts.
      if (packet && isOurs(packet)) finish(packet)
    })
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)
    // Connected, so that the kernel drops datagrams from anywhere else.
    socket.connect(server.port, server.address, () => {
      if (over) return
      socket.send(query)
      resend = setInterval(() => socket.send(query), RESEND_MS)
    })
  })
}

function overTcp(
  query: Uint8Array,
  server: DnsServer,
  isOurs: (packet: DecodedPacket) => boolean,
  signal: AbortSignal,
): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: server.address, port: server.port, noDelay: true })
    let received: Buffer = Buffer.alloc(0)
    const finish = (result: DecodedPacket | Error): void => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      if (result instanceof Error) reject(result)
      else resolve(result)
    }
    const onAbort = (): void =>
      finish(new EgressError('resolve-failed', { why: 'no answer in time' }))
    socket.on('error', (error) => finish(error))
    socket.on('close', () => finish(new EgressError('resolve-failed', { why: 'closed' })))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      const packet = tryDecode(received.subarray(2, 2 + received.readUInt16BE(0)))
      if (packet && isOurs(packet)) finish(packet)
      else finish(new EgressError('resolve-failed', { why: 'malformed answer' }))
    })
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort)
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query]))
  })
}

function tryDecode(bytes: Buffer): DecodedPacket | undefined {
  try {
    return decode(bytes)
  } catch {
    // A datagram that is no DNS message answers nothing.
    return undefined
  }
}

// The addresses at the end of the chain of aliases that begins at the name asked for; others were not asked for.
function readAnswers(
  host: string,
  type: AddressType,
  packet: DecodedPacket,
): { data: string; ttl: number }[] {
  const rcode: unknown = Reflect.get(packet, 'rcode')
  // Some servers say so of a family they do not have (RFC 4074 section 4.2); with none in the other it is the same failure.
  if (rcode === 'NXDOMAIN') return []
  if (rcode !== 'NOERROR') throw new EgressError('resolve-failed', { rcode: String(rcode) })
  const answers: readonly Answer[] = packet.answers ?? []
  let name = host
  let ttl = Infinity
  for (let step = 0; step < CNAMES_MAX; step += 1) {
    const found = answers.filter((one) => one.type === type && one.name.toLowerCase() === name)
    if (found.length > 0)
      return found.flatMap((one) =>
        one.type === 'A' || one.type === 'AAAA'
          ? [{ data: one.data, ttl: Math.min(ttl, one.ttl ?? 0) }]
          : [],
      )
    const alias = answers.find((one) => one.type === 'CNAME' && one.name.toLowerCase() === name)
    if (alias?.type !== 'CNAME') return []
    ttl = Math.min(ttl, alias.ttl ?? 0)
    name = alias.data.toLowerCase().replace(/\.$/, '')
  }
  throw new EgressError('resolve-failed', { why: 'too many aliases' })
}
