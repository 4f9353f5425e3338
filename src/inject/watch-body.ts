// A request body looked through for placeholders while it flows on untouched. Called by `stages.ts`.

import type { HeldPlaceholder } from '../credentials/placeholder.ts'
import { overBody, type Body } from '../wire/body.ts'
import { PlaceholderScan } from './body-scan.ts'

/**
 * The same bytes; `onFound` is called with a credential's name at the first of its placeholders seen, and may throw.
 * @param placeholders by their text, as the credential store gives them
 */
export function watchBody(
  body: Body,
  placeholders: ReadonlyMap<string, HeldPlaceholder>,
  onFound: (credential: string) => void,
): Body {
  const scan = new PlaceholderScan(placeholders)
  const found = new Set<string>()
  return overBody(body, () => {
    const chunk = body.read()
    if (chunk === undefined || chunk === null || found.size === placeholders.size) return chunk
    for (const placeholder of scan.push(chunk)) {
      if (found.has(placeholder)) continue
      found.add(placeholder)
      onFound(placeholders.get(placeholder)?.definition.name ?? '')
    }
    return chunk
  })
}
