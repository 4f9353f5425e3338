// Where tokens are captured that a client in the sandbox asks for: which member of which endpoint's answer is which credential.
// Called by `store.ts`; what is done with it is in `brokering/capture.ts`.

import { normalizeHost } from '../wire/authority.ts'
import { readPath, type PathReadings } from '../wire/path.ts'
import type { CredentialDefinition } from './definition.ts'

/** One credential that is captured. */
export interface Capture {
  readonly credential: string
  /** The member of the answer. */
  readonly field: string
  /** The path, as `pathKeys` gives it. */
  readonly path: string
}

/** Lists what is captured, by `host:port`. */
export function capturesOf(
  definitions: readonly CredentialDefinition[],
): ReadonlyMap<string, readonly Capture[]> {
  const captures = new Map<string, readonly Capture[]>()
  for (const { name, source } of definitions) {
    if (source.kind !== 'captured') continue
    const url = new URL(source.from)
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
    const key = `${normalizeHost(url.hostname).host}:${port}`
    const [path = ''] = pathKeys(readPath(url.pathname))
    const capture = { credential: name, field: source.field, path }
    captures.set(key, [...(captures.get(key) ?? []), capture])
  }
  return captures
}

/** What a path may be to whoever reads it, so that no spelling of a token endpoint is another one. */
export function pathKeys({ readings }: PathReadings): string[] {
  return readings.map((segments) =>
    segments
      .filter((segment) => segment !== '')
      .join('/')
      .toLowerCase(),
  )
}
