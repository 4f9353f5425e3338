// Leaf certificates for intercepted hosts: ECDSA P-256, one key a process, a day long. Called by `contexts.ts`.

import type { KeyObject } from 'node:crypto'

import ipaddr from 'ipaddr.js'

import type { Endpoint } from '../wire/authority.ts'
import type { Ca } from './ca.ts'
import { EMPTY_NAME, makeCertificate, type AlternativeName } from './certificate.ts'
import { publicKeyOf } from './issuer.ts'

/** A leaf and when it ends. */
export interface Leaf {
  readonly certPem: string
  /** Epoch milliseconds. */
  readonly notAfter: number
}

const LIFETIME_MS = 24 * 3_600_000
const BACKDATE_MS = 3_600_000

/** Whom a leaf is for. */
export type LeafHost = Pick<Endpoint, 'host' | 'kind'>

/** Mints a certificate for one host, or for several names of one, never longer than the CA's. */
export function mintLeaf(
  ca: Ca,
  hosts: readonly LeafHost[],
  leafKey: KeyObject,
  now: number,
): Leaf {
  const notAfter = Math.min(now + LIFETIME_MS, ca.notAfter)
  const certPem = makeCertificate(
    {
      subject: EMPTY_NAME,
      issuer: ca.name,
      publicKey: publicKeyOf(leafKey),
      issuerKeyId: ca.keyId,
      notBefore: now - BACKDATE_MS,
      notAfter,
      ca: false,
      alternativeNames: hosts.map(alternativeName),
    },
    ca.key,
  )
  return { certPem, notAfter }
}

function alternativeName({ host, kind }: LeafHost): AlternativeName {
  return kind === 'name'
    ? { kind: 'name', text: host }
    : { kind: 'ip', bytes: Uint8Array.from(ipaddr.parse(host).toByteArray()) }
}
