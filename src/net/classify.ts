// Which resolved addresses may be dialed: every answer is looked at, and one that is not allowed refuses the whole name
// (I2). Pure but for the machine's own addresses, which are asked for. Called by `dial.ts` on every dial and reuse.

import { networkInterfaces } from 'node:os'

import ipaddr from 'ipaddr.js'

import { EgressError } from '../errors.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Endpoint } from '../wire/authority.ts'
import {
  canonicalAddress,
  contains,
  isCloudMetadata,
  parseCidr,
  specialPurpose,
  type Cidr,
} from '../wire/address.ts'

/** A listener of the sidecar itself. */
export interface OwnListener {
  /** `0.0.0.0` and `::` mean every address of the machine. */
  readonly host: string
  readonly port: number
}

/** What is asked about addresses. */
export interface AddressQuestion {
  readonly endpoint: Pick<Endpoint, 'kind' | 'port'>
  readonly policy: AddressPolicy
  readonly own: readonly OwnListener[]
  /** Special-purpose ranges that any name may resolve to, by configuration. */
  readonly allowed: readonly Cidr[]
  /** The operator named the destination in the configuration: it may lie on the operator's own networks. */
  readonly byOperator?: boolean
}

// IPv6 ranges whose addresses stand for an IPv4 address that a translator or relay reaches, and where in them it is.
// Mapped addresses are IPv4 already. RFC 6052, RFC 8215 (its usual /96), RFC 3056, RFC 4291 section 2.5.5.1,
// RFC 2765.
const EMBEDDING = [
  { text: '64:ff9b::/96', at: 12 },
  { text: '64:ff9b:1::/48', at: 12 },
  { text: '2002::/16', at: 2 },
  { text: '::/96', at: 12 },
  { text: '::ffff:0:0:0/96', at: 12 },
]
// RFC 4380 section 4: the client's address, each bit turned.
const TEREDO = '2001::/32'
// Read when the first address is looked at: a start has no use for them.
let embedding: readonly { readonly range: Cidr; readonly at: number }[] | undefined
let teredo: Cidr | undefined
const MACHINE_ADDRESSES_MS = 5000
let machineAddresses: ReadonlySet<string> = new Set()
let machineAddressesAt = -Infinity

/**
 * The addresses in normal form and without repeats, if each of them may be dialed.
 * @throws resolve-failed where there is none; resolved-address-denied, loop-detected
 */
export function checkAddresses(question: AddressQuestion, addresses: readonly string[]): string[] {
  if (addresses.length === 0) throw new EgressError('resolve-failed', { answers: 0 })
  return [...new Set(addresses.map((address) => checkAddress(question, address)))]
}

/** Whether an address may be dialed. */
export function isDialable(question: AddressQuestion, address: string): boolean {
  try {
    return checkAddresses(question, [address]).length > 0
  } catch (error) {
    if (error instanceof EgressError) return false
    throw error
  }
}

function checkAddress(question: AddressQuestion, text: string): string {
  const { endpoint, policy, own } = question
  const address = canonicalAddress(text)?.host
  if (address === undefined) throw denied('no-address')
  // What a translator would reach is judged like the address itself.
  const embedded = embeddedIpv4(address)
  const forms = embedded === undefined ? [address] : [address, embedded]
  const isOwn = ({ host, port }: OwnListener): boolean =>
    port === endpoint.port && forms.some((form) => isOwnHost(host, form))
  if (own.some(isOwn)) throw new EgressError('loop-detected')
  judgeForms(question, policy, address, forms)
  return address
}

// I9: what the rules of the task allow those of its ancestors have to allow as well.
function judgeForms(
  question: AddressQuestion,
  policy: AddressPolicy,
  address: string,
  forms: readonly string[],
): void {
  for (const ancestor of policy.also ?? []) judgeForms(question, ancestor, address, forms)
  if (policy.denied.some((range) => forms.some((form) => contains(range, form))))
    throw denied('denied')
  if (policy.allowed.some((range) => isExact(range) && contains(range, address))) return
  // Metadata services hand out credentials: only a rule that names the very address reaches one.
  if (forms.some(isCloudMetadata)) throw denied('cloud-metadata')
  // A literal was decided as such: the rule named the address or its range.
  const { endpoint, allowed, byOperator = false } = question
  if (byOperator || endpoint.kind !== 'name') return
  for (const form of forms) {
    const special = specialPurpose(form)
    if (special === undefined) continue
    if (![...policy.allowed, ...allowed].some((range) => contains(range, form)))
      throw denied(special)
  }
}

function denied(range: string): EgressError {
  return new EgressError('resolved-address-denied', { range })
}

function isExact({ kind, bits }: Cidr): boolean {
  return bits === (kind === 'ipv4' ? 32 : 128)
}

function embeddedIpv4(address: string): string | undefined {
  if (!address.includes(':')) return undefined
  const bytes = ipaddr.parse(address).toByteArray()
  teredo ??= parseCidr(TEREDO)!
  if (contains(teredo, address))
    return bytes
      .slice(12)
      .map((byte) => byte ^ 0xff)
      .join('.')
  embedding ??= EMBEDDING.map(({ text, at }) => ({ range: parseCidr(text)!, at }))
  const form = embedding.find(({ range }) => contains(range, address))
  return form && bytes.slice(form.at, form.at + 4).join('.')
}

/**
 * Whether a listener on a host is reached at an address without being routed or translated to it.
 * @param listener `0.0.0.0` and `::` mean every address of the machine
 */
export function isOwnHost(listener: string, address: string): boolean {
  const host = canonicalAddress(listener)?.host ?? listener
  if (host === address) return true
  const everywhere = isUnspecified(host)
  // Dialing the unspecified address reaches this machine's loopback.
  if (isUnspecified(address)) return everywhere || isLoopback(host)
  return everywhere && (isLoopback(address) || ownAddresses().has(address))
}

function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

// All of 127/8 is this machine.
function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

function ownAddresses(): ReadonlySet<string> {
  const now = performance.now()
  if (now - machineAddressesAt > MACHINE_ADDRESSES_MS) {
    machineAddressesAt = now
    machineAddresses = new Set(
      Object.values(networkInterfaces()).flatMap((list) =>
        (list ?? []).flatMap(({ address }) => canonicalAddress(address)?.host ?? []),
      ),
    )
  }
  return machineAddresses
}
