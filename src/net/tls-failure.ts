// Tells a certificate that is not trusted from a handshake that failed. Called by `dial.ts` and `upstream-tls.ts`.

import { EgressError } from '../errors.ts'

// node's names for what OpenSSL's chain verification and the identity check find.
const UNTRUSTED: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
])
const UNTRUSTED_BY_MESSAGE =
  /certificate|permitted subtree|excluded subtree|key too small|md too weak/i

/** The reason of a TLS error towards an upstream. */
export function explainTlsFailure(error: Error): EgressError {
  const code = codeOf(error)
  const isHandshake = code.startsWith('ERR_SSL_') || code === 'ECONNRESET' || code === 'EPIPE'
  const untrusted =
    UNTRUSTED.has(code) || (!isHandshake && UNTRUSTED_BY_MESSAGE.test(error.message))
  return new EgressError(untrusted ? 'tls-untrusted' : 'tls-failed', { code }, { cause: error })
}

/** The code of a system's or library's error, its name where it has none. */
export function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.name
}
