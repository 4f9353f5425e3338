// Whom a client's certificate names: the one SPIFFE ID of an X.509-SVID. The alternative names are read from their bytes:
// node writes them out as one line of text, in which a DNS name may look like a URI. Deliberately verifies nothing: TLS did.
// Called by `listen/tls-door.ts`. @see SPIFFE X509-SVID sections 2 and 4, SPIFFE-ID section 2

import type { X509Certificate } from 'node:crypto'

import { elementsIn, extensionsOf } from './der.ts'

const ALTERNATIVE_NAME = Buffer.of(0x55, 0x1d, 0x11)
const SEQUENCE_TAG = 0x30
const URI_TAG = 0x86
const ID_BYTES_MAX = 2048
const ID = /^spiffe:\/\/[a-z0-9._-]{1,255}((?:\/[A-Za-z0-9._-]+)+)$/

/** The SPIFFE ID of a leaf certificate; undefined where it has none, or more than that one URI. */
export function readSpiffeId(certificate: X509Certificate): string | undefined {
  if (certificate.ca) return undefined
  const [uri, ...others] = readUris(certificate)
  if (uri === undefined || others.length > 0 || uri.length > ID_BYTES_MAX) return undefined
  const path = ID.exec(uri)?.[1]
  if (path === undefined) return undefined
  return path.split('/').some((segment) => segment === '.' || segment === '..') ? undefined : uri
}

// What cannot be read to its last byte has none: another reader could see more.
function readUris(certificate: X509Certificate): string[] {
  const [extension, ...more] = extensionsOf(certificate).filter(({ id }) =>
    id.equals(ALTERNATIVE_NAME),
  )
  if (extension === undefined || more.length > 0) return []
  const [list] = elementsIn(extension.value)
  if (list?.tag !== SEQUENCE_TAG || list.whole.length !== extension.value.length) return []
  const names = elementsIn(list.content)
  const read = names.reduce((length, { whole }) => length + whole.length, 0)
  if (read !== list.content.length) return []
  return names.filter(({ tag }) => tag === URI_TAG).map(({ content }) => content.toString('latin1'))
}
