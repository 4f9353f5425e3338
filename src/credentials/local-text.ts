// The texts that issuers prove themselves with: read from this machine as they are now, and known from then on, so that they are
// masked wherever text is written down. Called by `config/credentials/`.

import type { LocalSource } from './definition.ts'
import type { ReadLocal } from './issuer.ts'
import { openSource, type LocalSourceOptions } from './local-source.ts'
import { reveal } from './reveal.ts'

/**
 * Opens a text.
 * @param name of the credential it is for
 * @param use what it is to it, in a word
 */
export function openText(
  name: string,
  use: string,
  source: LocalSource,
  { known, ...options }: Omit<LocalSourceOptions, 'form'>,
): ReadLocal {
  const opened = openSource(name, source, { ...options, form: 'text' })
  return async () => {
    const text = reveal(await opened.secret(), use)
    // Not by the name of what is minted: of each name the last few are known.
    known?.learn(`${name} ${use}`, text)
    return text
  }
}
