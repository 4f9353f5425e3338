// Who listens at an address that the sandbox reaches: a door of the sidecar's, its health listener, the operators' API, or
// somebody else. Called by the probes of loopback, gateways and control.

import { askFor, isWholeMessage, withLength } from './dns-text.ts'
import { OWN_HOST } from '../../wire/own-host.ts'
import {
  envelopeRequest,
  getRequest,
  isOfControl,
  jsonOf,
  memberOf,
  readAnswer,
} from './http-text.ts'
import { knock, type Knock } from './knock.ts'
import { anyOrigin, askHttp, failureWords, provesOurs, shownBytes, type Endpoint } from './ours.ts'
import type { Surroundings } from './surroundings.ts'

/** Who it is, and what told so. */
export interface Listener {
  readonly kind: 'ours' | 'control' | 'foreign' | 'none'
  readonly how: string
}

const DNS_PORT = 53
// Version 5, one method: none (RFC 1928 section 3); then CONNECT to a name (section 4).
const SOCKS_GREETING = Buffer.from([5, 1, 0])
const SOCKS_CONNECT = Buffer.concat([
  Buffer.from([5, 1, 0, 3, OWN_HOST.length]),
  Buffer.from(OWN_HOST, 'latin1'),
  Buffer.from([0, 80]),
])

/** Finds out. */
export async function identifyListener(
  endpoint: Endpoint,
  around: Surroundings,
): Promise<Listener> {
  const first = await knock(endpoint, getRequest('/openapi.json', hostOf(endpoint)))
  if (first.kind !== 'accepted') return { kind: 'none', how: failureWords(first) }
  if (await isControl(endpoint, first)) return { kind: 'control', how: shownBytes(first.bytes) }
  const [origin, isHealth, isSocks, isDns] = await Promise.all([
    anyOrigin(endpoint, around),
    answersHealth(endpoint),
    answersSocks(endpoint),
    endpoint.port === DNS_PORT && answersDns(endpoint),
  ])
  if (origin.kind === 'ours') return { kind: 'ours', how: origin.how }
  if (isHealth) return { kind: 'ours', how: 'the health listener' }
  if (isSocks) return { kind: 'ours', how: 'the SOCKS5 door' }
  // Its own probe says whose it is.
  if (isDns) return { kind: 'ours', how: 'a DNS server, which is probed by itself' }
  return { kind: 'foreign', how: `accepted, ${shownBytes(first.bytes)} came` }
}

/** `Host` as the control API takes it. */
function hostOf({ host, port }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function isControl(
  endpoint: Endpoint,
  first: Extract<Knock, { kind: 'accepted' }>,
): Promise<boolean> {
  const answer = readAnswer(first.bytes)
  if (answer !== undefined && isOfControl(answer)) return true
  const tasks = await askHttp(endpoint, getRequest('/v1/tasks', hostOf(endpoint)))
  return tasks !== undefined && isOfControl(tasks)
}

async function answersHealth(endpoint: Endpoint): Promise<boolean> {
  const answer = await askHttp(endpoint, getRequest('/readyz', hostOf(endpoint)))
  const value = answer && jsonOf(answer.body)
  const checks = memberOf(value, 'checks')
  return memberOf(value, 'status') !== undefined && Array.isArray(checks)
}

async function answersSocks(endpoint: Endpoint): Promise<boolean> {
  const request = Buffer.concat([
    SOCKS_GREETING,
    SOCKS_CONNECT,
    Buffer.from(envelopeRequest('origin'), 'latin1'),
  ])
  const result = await knock(endpoint, request)
  if (result.kind !== 'accepted' || result.bytes[0] !== 5) return false
  const at = result.bytes.indexOf('HTTP/1.1 ')
  return at > 0 && provesOurs(readAnswer(result.bytes.subarray(at))) !== undefined
}

async function answersDns(endpoint: Endpoint): Promise<boolean> {
  const { bytes, read } = askFor(OWN_HOST)
  const result = await knock(endpoint, withLength(bytes), isWholeMessage)
  return result.kind === 'accepted' && read(result.bytes.subarray(2)) !== undefined
}
