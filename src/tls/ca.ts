// The interception CA: made at first start, its public part in `certs/`, its key in `state/` with mode 0600, its name and
// serial unique to the installation. What is there and good is kept; what cannot be read is an error, never silently
// replaced. Called by `sidecar.ts` and `cli/ca.ts`.

import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  X509Certificate,
  type KeyObject,
} from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { encodeName, makeCertificate } from './certificate.ts'
import {
  publicFilesIn,
  readSecret,
  writePublicFiles,
  writeWhole,
  type PublicFiles,
} from './files.ts'
import { keyIdOf, publicKeyOf, readIssuer } from './issuer.ts'

/** Where the CA lives and how long. */
export interface CaOptions {
  /** Public material only; may be mounted into a sandbox. */
  readonly dir: string
  readonly keyFile: string
  readonly lifetimeMs: number
  readonly now: () => number
}

/** A CA that can sign. */
export interface Ca extends PublicFiles {
  readonly certPem: string
  readonly key: KeyObject
  readonly keyId: Buffer
  /** DER of its subject. */
  readonly name: Buffer
  /** Epoch milliseconds. */
  readonly notAfter: number
}

const BACKDATE_MS = 3_600_000
// Renewed when less than this share of its life is left.
const RENEW_SHARE = 0.2
/** The organisation that every CA of ours names. */
export const ORGANISATION = 'Sallyport'
const PEM_BEGIN = '-----BEGIN CERTIFICATE-----'

/**
 * Loads the CA, or makes it where there is none or it is about to end. Key and name are kept over a renewal, so that who
 * trusts the certificate before trusts what is issued after it, until that one ends.
 * @throws Error in one sentence where a file is there and cannot be used
 */
export function loadOrMakeCa(options: CaOptions): Ca {
  mkdirSync(path.dirname(options.keyFile), { recursive: true, mode: 0o700 })
  const key = loadKey(options.keyFile) ?? makeKey(options.keyFile)
  const files = publicFilesIn(options.dir)
  const kept = loadCertificate(files.certFile, key)
  const certPem =
    kept && isCurrent(kept, options.now())
      ? kept.toString()
      : makeCaCertificate(key, kept ? readIssuer(kept).name : makeName(), options)
  writePublicFiles(options.dir, certPem, true)
  return describeCa(certPem, key, files)
}

/** A CA as what it issues has to name it. */
export function describeCa(certPem: string, key: KeyObject, files: PublicFiles): Ca {
  const certificate = new X509Certificate(certPem)
  const { name, keyId = keyIdOf(publicKeyOf(key)) } = readIssuer(certificate)
  return { certPem, key, keyId, name, notAfter: certificate.validToDate.getTime(), ...files }
}

function loadKey(file: string): KeyObject | undefined {
  try {
    const pem = readSecret(file)
    if (pem === undefined) return undefined
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType !== 'ec') throw new Error('it is no elliptic-curve key')
    return key
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `the CA's key ${file} cannot be used (${why}): restore it, or move it away to start with a new CA`,
      {
        cause: error,
      },
    )
  }
}

function makeKey(file: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeWhole(file, pem, { mode: 0o600, isSynced: true })
  return privateKey
}

// The certificate on the disk where it is the key's own. One of another key is worthless, and a torn one too: public parts
// are made anew. What is neither was put there by somebody.
function loadCertificate(file: string, key: KeyObject): X509Certificate | undefined {
  if (!existsSync(file)) return undefined
  const pem = readFileSync(file, 'utf8').trim()
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch (error) {
    if (pem.startsWith(PEM_BEGIN) || PEM_BEGIN.startsWith(pem)) return undefined
    throw new Error(`${file} is no certificate: restore it, or move it away to have it made anew`, {
      cause: error,
    })
  }
  if (!certificate.checkPrivateKey(key)) return undefined
  if (certificate.ca && certificate.verify(publicKeyOf(key))) return certificate
  throw new Error(
    `${file} belongs to the CA's key but is no CA of its own: restore it, or move it away to have it made anew`,
  )
}

function isCurrent(certificate: X509Certificate, now: number): boolean {
  const begin = certificate.validFromDate.getTime()
  const end = certificate.validToDate.getTime()
  return begin <= now && end - now > (end - begin) * RENEW_SHARE
}

// Unique, so that two installations in one trust store are told apart.
function makeName(): Buffer {
  return encodeName([
    { oid: '2.5.4.10', text: ORGANISATION },
    { oid: '2.5.4.3', text: `Sallyport interception CA ${randomBytes(4).toString('hex')}` },
  ])
}

function makeCaCertificate(key: KeyObject, name: Buffer, { lifetimeMs, now }: CaOptions): string {
  const publicKey = publicKeyOf(key)
  return makeCertificate(
    {
      subject: name,
      issuer: name,
      publicKey,
      issuerKeyId: keyIdOf(publicKey),
      notBefore: now() - BACKDATE_MS,
      notAfter: now() + lifetimeMs,
      ca: true,
      // Room for the intermediates of tasks.
      pathLength: 1,
    },
    key,
  )
}
