// A credential that is a certificate and its key, shown to the upstream by TLS alone: nothing of it is in the request. Whether it can
// be shown is looked at here, so that a bad one fails the call in words of ours. Called through `finish.ts`; `net/` shows it.

import { createPrivateKey, X509Certificate } from 'node:crypto'

import type { Injection } from '../credentials/definition.ts'
import { revealCertificate } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import type { Finisher } from './finisher.ts'
import { unavailable } from './unavailable.ts'

type MtlsInjection = Extract<Injection, { readonly kind: 'mtls' }>

/** Epoch milliseconds. */
interface Validity {
  readonly from: number
  readonly until: number
}

const checked = new WeakMap<Secret, Validity>()

/** Shows a certificate. */
export const mtlsFinisher: Finisher<MtlsInjection> = {
  needsBody: () => false,
  finish(_inject, { scheme, headers, path, now }, _body, secret) {
    if (scheme !== 'https') throw unavailable(secret.name, 'a certificate is shown by TLS alone')
    const { from, until } = validityOf(secret)
    if (now < from) throw unavailable(secret.name, 'the certificate is not valid yet')
    if (now >= until) throw unavailable(secret.name, 'the certificate has expired')
    return { headers, path, certificate: secret, isReplaced: false }
  },
}

function validityOf(secret: Secret): Validity {
  let validity = checked.get(secret)
  if (validity === undefined) {
    validity = check(secret)
    checked.set(secret, validity)
  }
  return validity
}

function check(secret: Secret): Validity {
  const pem = revealCertificate(secret, 'show by TLS')
  if (pem === undefined) throw unavailable(secret.name, 'it has no certificate and key (PEM)')
  let fits: boolean
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(pem.certPem)
    fits = leaf.checkPrivateKey(createPrivateKey(pem.keyPem))
  } catch {
    // Its message could quote the text.
    throw unavailable(secret.name, 'the certificate or its key cannot be read')
  }
  if (!fits) throw unavailable(secret.name, 'the key is not that of the certificate')
  return { from: leaf.validFromDate.getTime(), until: leaf.validToDate.getTime() }
}
