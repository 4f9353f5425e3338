// Whether the sidecar is who accepted a connection: by TLS that its own CA vouches for, or by answers that only it gives.
// Whatever does not prove so is somebody else. Called by the probes beside.

import { randomBytes } from 'node:crypto'

import { escapeUnprintable } from '../../record/printable.ts'
import { OWN_HOST } from '../../wire/own-host.ts'
import {
  envelopeRequest,
  envelopeTask,
  getRequest,
  isWhole,
  readAnswer,
  refusalReason,
  type HttpAnswer,
} from './http-text.ts'
import { isKeptHere, knock, shakeHands, type Handshake, type Knock, type Place } from './knock.ts'
import type { NamedProxy, Surroundings } from './surroundings.ts'

/** Who answered at an address. */
export type Origin =
  | { readonly kind: 'ours'; readonly how: string }
  /** Ended without a byte of anybody else's, within this namespace. */
  | { readonly kind: 'ended'; readonly how: string }
  | { readonly kind: 'foreign'; readonly how: string }
  /** There is nobody, or nothing comes back. */
  | { readonly kind: 'none'; readonly knock: Knock }

/** An address and port. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

const SHOWN_CHARACTERS = 60

/** A name that nobody has: what answers under it does so whatever is asked. */
export function strangeName(): string {
  return `doctor-${randomBytes(6).toString('hex')}.invalid`
}

/** The explicit proxy as a place. */
export function placeOf({ host, port, isTls }: NamedProxy, roots: readonly string[]): Place {
  return { host, port, ...(isTls && { roots }) }
}

/** Asks over HTTP and reads the answer; undefined where none came. */
export async function askHttp(place: Place, request: string): Promise<HttpAnswer | undefined> {
  const result = await knock(place, request, isWhole)
  return result.kind === 'accepted' ? readAnswer(result.bytes) : undefined
}

/** Why an answer over HTTP is the sidecar's; undefined where it is not. */
export function provesOurs(answer: HttpAnswer | undefined): string | undefined {
  if (answer === undefined) return undefined
  const task = envelopeTask(answer)
  if (task !== undefined) return `the sidecar answers for task ${shown(task)}`
  const reason = refusalReason(answer)
  return reason === undefined ? undefined : `the sidecar refuses: ${reason}`
}

/** Who answers plain HTTP at an address. */
export async function httpOrigin(endpoint: Endpoint): Promise<Origin> {
  const strange = strangeName()
  const [own, other, silent] = await Promise.all([
    knock(endpoint, envelopeRequest('origin'), isWhole),
    knock(endpoint, getRequest('/', strange), isWhole),
    knock(endpoint, 'SSH-2.0-doctor\r\n\r\n'),
  ])
  if (own.kind !== 'accepted') return { kind: 'none', knock: own }
  const how = provesOurs(readAnswer(own.bytes))
  // What proves nothing for the own name may be a listener that heeds no name at all.
  if (how === undefined) return unproved(endpoint, [own, other, silent])
  for (const [asked, result] of [
    [`Host: ${strange}`, other],
    ['bytes that are no HTTP', silent],
  ] as const) {
    const bytes = result.kind === 'accepted' ? result.bytes : Buffer.alloc(0)
    const answer = readAnswer(bytes)
    if (bytes.length > 0 && provesOurs(answer) === undefined)
      return { kind: 'foreign', how: `${asked} answered: ${shownBytes(bytes)}` }
  }
  return { kind: 'ours', how }
}

/** Who answers TLS at an address. */
export async function tlsOrigin(endpoint: Endpoint, roots: readonly string[]): Promise<Origin> {
  const [own, other, silent] = await Promise.all([
    shakeHands(endpoint, OWN_HOST, roots),
    shakeHands(endpoint, strangeName(), roots),
    knock(endpoint, 'SSH-2.0-doctor\r\n\r\n'),
  ])
  if (own.kind === 'failed' || own.kind === 'dropped') return { kind: 'none', knock: own }
  const bytes = silent.kind === 'accepted' ? silent.bytes : Buffer.alloc(0)
  // A TLS alert is what a listener of TLS says to bytes that are none.
  if (bytes.length > 0 && bytes[0] !== TLS_ALERT && provesOurs(readAnswer(bytes)) === undefined)
    return { kind: 'foreign', how: `bytes that are no TLS answered: ${shownBytes(bytes)}` }
  const hands = [own, other]
  const stranger = hands.find((one) => one.kind === 'shown' && !one.isTrusted)
  if (stranger?.kind === 'shown') return { kind: 'foreign', how: foreignTls(stranger, roots) }
  if (hands.some(({ kind }) => kind === 'shown'))
    return { kind: 'ours', how: "a certificate of the sidecar's CA" }
  return unproved(endpoint, [silent], own)
}

const TLS_ALERT = 0x15

function foreignTls(
  { issuer }: Extract<Handshake, { kind: 'shown' }>,
  roots: readonly string[],
): string {
  const by = issuer === '' ? 'nobody named' : shown(issuer)
  return roots.length === 0
    ? `a certificate by ${by}, and no variable names the sidecar's CA to tell it by`
    : `a certificate by ${by}, which is not the sidecar's CA`
}

// Where the kernel keeps the address here, and not a byte came, nothing was reached that could be elsewhere.
async function unproved(
  { host }: Endpoint,
  knocks: readonly Knock[],
  handshake?: Handshake,
): Promise<Origin> {
  const bytes = knocks.flatMap((one) => (one.kind === 'accepted' ? [one.bytes] : []))
  const first = bytes.find(({ length }) => length > 0)
  if (first !== undefined && (handshake === undefined || first[0] !== TLS_ALERT))
    return { kind: 'foreign', how: `answered: ${shownBytes(first)}` }
  const how =
    handshake?.kind === 'refused' ? `the handshake ended (${handshake.code})` : 'not a byte came'
  return (await isKeptHere(host))
    ? { kind: 'ended', how }
    : { kind: 'foreign', how: `accepted, and ${how}: nothing proves that it is the sidecar` }
}

/** Text of strangers, short and safe to show. */
export function shown(text: string): string {
  return escapeUnprintable(text.slice(0, SHOWN_CHARACTERS))
}

/** Bytes of strangers, short and safe to show. */
export function shownBytes(bytes: Buffer): string {
  return bytes.length === 0 ? 'no bytes' : JSON.stringify(shown(bytes.toString('latin1')))
}

/** What a knock that nobody accepted means, in words. */
export function failureWords(result: Exclude<Knock, { kind: 'accepted' }>): string {
  if (result.kind === 'dropped') return 'no answer: dropped'
  return CODE_WORDS[result.code] ?? result.code
}

/** What a listener within this namespace says that says nothing: whoever it is, nothing left. */
export const SILENT_HERE = 'accepted within this namespace, not a byte came'

const CODE_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused',
  ENETUNREACH: 'no route',
  EHOSTUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'no address to leave from',
  EAFNOSUPPORT: 'the family is not there',
  EPERM: 'a filter forbids it',
  EACCES: 'a filter forbids it',
  ETIMEDOUT: 'no answer: dropped',
  ECONNRESET: 'reset',
}

/** Who accepted at any port: the explicit proxy, the doors for HTTP or TLS, or somebody else. */
export async function anyOrigin(endpoint: Endpoint, around: Surroundings): Promise<Origin> {
  const [proxied, http, secure] = await Promise.all([
    askHttp(endpoint, envelopeRequest('absolute', around.proxy?.login)),
    httpOrigin(endpoint),
    tlsOrigin(endpoint, around.roots),
  ])
  const how = provesOurs(proxied)
  if (how !== undefined) return { kind: 'ours', how }
  return [http, secure].find(({ kind }) => kind === 'ours') ?? http
}
