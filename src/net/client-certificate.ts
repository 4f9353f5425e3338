// What a call shows of a certificate by TLS: made once for each state of the credential, so that contexts and sessions of one are
// never another's. Called by `dial.ts`.

import { revealCertificate } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import { EgressError } from '../errors.ts'
import { HTTP1_ONLY } from '../wire/protocol.ts'
import { CallPermit, type OperatorPermit } from './permit.ts'
import type { TlsClient } from './upstream-tls.ts'

const clients = new WeakMap<Secret, Map<string, TlsClient>>()

/** The client that shows what a permit says; the given one where that is nothing. @throws credential-unavailable */
export function showCertificate(
  permit: CallPermit | OperatorPermit,
  client: TlsClient | undefined,
): TlsClient | undefined {
  const certificate = CallPermit.is(permit) ? permit.certificate : undefined
  if (certificate === undefined) return client
  const { protocols = HTTP1_ONLY } = client ?? {}
  const known = clients.get(certificate) ?? new Map<string, TlsClient>()
  clients.set(certificate, known)
  let showing = known.get(protocols.join())
  if (showing === undefined) {
    const shown = revealCertificate(certificate, 'show by TLS')
    if (shown === undefined)
      throw new EgressError('credential-unavailable', { credential: certificate.name })
    showing = { certificate: shown, protocols }
    known.set(protocols.join(), showing)
  }
  return showing
}
