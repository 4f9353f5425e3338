// Which resolved addresses may be dialed: every answer is looked at, and one that is not allowed refuses the whole name
// (I2). Pure but for the machine's own addresses, which are asked for. Called by `dial.ts` on every dial and reuse.

import { networkInterfaces } from 'node:os'

import { EgressError } from '../errors.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Endpoint } from '../wire/authority.ts'
import {
  canonicalAddress,
  contains,
  isCloudMetadata,
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
  readonly endpoint: Endpoint
  readonly policy: AddressPolicy
  readonly own: readonly OwnListener[]
  /** Special-purpose ranges that any name may resolve to, by configuration. */
  readonly allowed: readonly Cidr[]
}

const MACHINE_ADDRESSES_MS = 5000
let machineAddresses: ReadonlySet<string> = new Set()
let machineAddressesAt = -Infinity

/**
 * The addresses in normal form, if each of them may be dialed.
 * @throws resolved-address-denied, loop-detected
 */
export function checkAddresses(question: AddressQuestion, addresses: readonly string[]): string[] {
  if (addresses.length === 0) throw new EgressError('resolve-failed', { answers: 0 })
  return addresses.map((address) => checkAddress(question, address))
}

function checkAddress({ endpoint, policy, own, allowed }: AddressQuestion, text: string): string {
  const canonical = canonicalAddress(text)
  if (canonical === undefined)
    throw new EgressError('resolved-address-denied', { range: 'no-address' })
  const address = canonical.host
  if (own.some((listener) => listener.port === endpoint.port && isOwnHost(listener.host, address)))
    throw new EgressError('loop-detected')
  if (policy.denied.some((range) => contains(range, address)))
    throw new EgressError('resolved-address-denied', { range: 'denied' })
  // Metadata services hand out credentials: only a rule that names the very address reaches one.
  if (isCloudMetadata(address)) {
    if (policy.allowed.some((range) => isExact(range) && contains(range, address))) return address
    throw new EgressError('resolved-address-denied', { range: 'cloud-metadata' })
  }
  // A literal was decided as such: the rule named the address or its range.
  if (endpoint.kind !== 'name') return address
  const range = specialPurpose(address)
  if (range === undefined) return address
  if (
    policy.allowed.some((one) => contains(one, address)) ||
    allowed.some((one) => contains(one, address))
  )
    return address
  throw new EgressError('resolved-address-denied', { range })
}

function isExact({ kind, bits }: Cidr): boolean {
  return bits === (kind === 'ipv4' ? 32 : 128)
}

function isOwnHost(listener: string, address: string): boolean {
  if (listener === address) return true
  const everywhere = listener === '0.0.0.0' || listener === '::'
  if (!everywhere) return false
  // All of 127/8 is this machine, and so is the unspecified address.
  return (
    address.startsWith('127.') ||
    address === '0.0.0.0' ||
    address === '::' ||
    ownAddresses().has(address)
  )
}

function ownAddresses(): ReadonlySet<string> {
  const now = performance.now()
  if (now - machineAddressesAt > MACHINE_ADDRESSES_MS) {
    machineAddressesAt = now
    machineAddresses = new Set(
      Object.values(networkInterfaces()).flatMap((list) =>
        (list ?? []).map(({ address }) => address.split('%', 1)[0]!),
      ),
    )
  }
  return machineAddresses
}
