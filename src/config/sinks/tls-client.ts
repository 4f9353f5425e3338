// What a sink shows and trusts by TLS: a client certificate with its key and roots of its own, from files that may be renewed
// while the sidecar runs. Deliberately says nothing of verification: that is never off. Called by the starters beside this.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

import { checkRoots, type TlsClient } from '../../net/upstream-tls.ts'

/** PEM files, absolute; certificate and key both or none. */
interface TlsFiles {
  readonly ca?: string | undefined
  readonly clientCert?: string | undefined
  readonly clientKey?: string | undefined
}

/**
 * Reads the files now, and again whenever one of them has changed.
 * @param key of the configuration, for the message
 * @returns the same object as long as the files say the same
 * @throws Error saying what is wrong, at the first reading and at each later one
 */
export function openTlsClient(key: string, files: TlsFiles): () => TlsClient {
  let stamp = stampOf(key, files)
  let client = readClient(key, files)
  return () => {
    const seen = stampOf(key, files)
    if (seen !== stamp) {
      client = readClient(key, files)
      stamp = seen
    }
    return client
  }
}

function stampOf(key: string, files: TlsFiles): string {
  return pathsOf(files)
    .map((path) => {
      const { ino, size, mtimeMs, ctimeMs } = attempt(key, () => statSync(path))
      return [ino, size, mtimeMs, ctimeMs].join(' ')
    })
    .join('\n')
}

function pathsOf({ ca, clientCert, clientKey }: TlsFiles): string[] {
  return [ca, clientCert, clientKey].filter((path) => path !== undefined)
}

function readClient(key: string, { ca, clientCert, clientKey }: TlsFiles): TlsClient {
  const read = (path: string): string => attempt(key, () => readFileSync(path, 'utf8'))
  const roots = ca === undefined ? [] : [read(ca)]
  for (const root of roots) checkRoots(root, `${key}.ca`)
  if (clientCert === undefined || clientKey === undefined) return { protocols: [], roots }
  const certificate = { certPem: read(clientCert), keyPem: read(clientKey) }
  const isPair = attempt(key, () =>
    new X509Certificate(certificate.certPem).checkPrivateKey(createPrivateKey(certificate.keyPem)),
  )
  if (!isPair) throw new Error(`\`${key}\`: the client certificate and its key are no pair`)
  return { protocols: [], roots, certificate }
}

function attempt<Value>(key: string, act: () => Value): Value {
  try {
    return act()
  } catch (error) {
    throw new Error(`\`${key}\`: a file of its TLS cannot be read`, { cause: error })
  }
}
