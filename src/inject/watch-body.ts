// A request body looked through for placeholders while it flows on untouched. Called by `stages.ts`.

import type { CredentialDefinition } from '../credentials/sources.ts'
import { overBody, type Body } from '../wire/body.ts'
import { PlaceholderScan } from './body-scan.ts'

/**
 * The same bytes; `onFound` is called with the credential's name at the first placeholder seen, and may throw.
 * @param placeholders by their text, as the credential store gives them
 */
export function watchBody(
  body: Body,
  placeholders: ReadonlyMap<string, CredentialDefinition>,
  onFound: (credential: string) => void,
): Body {
  const scan = new PlaceholderScan(placeholders.keys())
  let found = false
  return overBody(body, () => {
    const chunk = body.read()
    const placeholder = chunk && !found ? scan.push(chunk) : undefined
    if (placeholder !== undefined) {
      found = true
      onFound(placeholders.get(placeholder)?.name ?? '')
    }
    return chunk
  })
}
