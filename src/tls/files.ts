// The files of a CA: how secret ones are written and read, and the four public ones that a sandbox is given. Each is
// written whole or not at all. Deliberately knows nothing of certificates. Called by `ca.ts` and `task-ca.ts`.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'

import { makeTrustStore } from './trust-store.ts'

/** Where the public files of a CA are, absolute where the directory was. */
export interface PublicFiles {
  /** The CA's certificate alone. */
  readonly certFile: string
  /** All that a client is to trust. */
  readonly bundleFile: string
}

const CERT_FILE = 'ca.crt'
const BUNDLE_FILE = 'ca-bundle.crt'
const WGET_FILE = 'wgetrc'
const JAVA_FILE = 'ca-truststore.p12'

/** Names the public files of a CA, whether they are there or not. */
export function publicFilesIn(directory: string): PublicFiles {
  return {
    certFile: path.join(directory, CERT_FILE),
    bundleFile: path.join(directory, BUNDLE_FILE),
  }
}

/**
 * Writes the public files of a CA where they are not as they must be: its certificate, a bundle, the same for Java, and a file
 * for wget. What a crash of the machine takes of them is written again at the next start, so they do not wait for the disk.
 * @param withPublicRoots whether the bundle holds the public roots before the certificate
 */
export function writePublicFiles(
  directory: string,
  certPem: string,
  withPublicRoots: boolean,
): void {
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const { certFile, bundleFile } = publicFilesIn(directory)
  writeIfDifferent(certFile, certPem)
  const roots = withPublicRoots ? tls.rootCertificates.map((root) => root.trim()) : []
  const trusted = [...roots, certPem.trim()]
  writeIfDifferent(bundleFile, [...trusted, ''].join('\n'))
  writeIfDifferent(path.join(directory, JAVA_FILE), makeTrustStore(trusted))
  // wget heeds no variable for its roots, only the one that names a file of its own.
  writeIfDifferent(
    path.join(directory, WGET_FILE),
    `ca_certificate = ${path.resolve(bundleFile)}\n`,
  )
}

/** How a file is written. */
export interface WriteOptions {
  readonly mode: number
  /** Wait for the disk: for what cannot be made anew after a crash of the machine. */
  readonly isSynced: boolean
}

/** Writes a file beside its place and moves it there. */
export function writeWhole(
  file: string,
  content: string | Buffer,
  { mode, isSynced }: WriteOptions,
): void {
  const beside = besideOf(file)
  // Made new: what a crash, or somebody, left in its place is neither kept nor followed.
  rmSync(beside, { force: true })
  writeFileSync(beside, content, { mode, flag: 'wx', flush: isSynced })
  chmodSync(beside, mode)
  renameSync(beside, file)
}

/** Reads a secret file; undefined where there is none. */
export function readSecret(file: string): Buffer | undefined {
  if (!existsSync(file)) return undefined
  // A key that others could read is mended before it is used.
  if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600)
  return readFileSync(file)
}

/** Where a file stands while it is written. */
export function besideOf(file: string): string {
  return `${file}.new`
}

function writeIfDifferent(file: string, content: string | Buffer): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  if (existsSync(file) && readFileSync(file).equals(bytes)) return
  writeWhole(file, bytes, { mode: 0o644, isSynced: false })
}
