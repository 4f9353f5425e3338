// The texts that issuers prove themselves with: read from this machine as they are now, and known from then on, so that they are
// masked wherever text is written down. Called by `config/credentials/`.

import type { LocalSource } from './definition.ts'
import type { ReadLocal } from './issuer.ts'
import { openSource, type LocalSourceOptions } from './local-source.ts'
import { reveal } from './reveal.ts'

/** Opens a text by the name of the credential it is for. */
export function openText(
  name: string,
  source: LocalSource,
  options: Omit<LocalSourceOptions, 'form'>,
): ReadLocal {
  const opened = openSource(name, source, { ...options, form: 'text' })
  return async () => reveal(await opened.secret(), 'proving ourselves to a provider')
}
