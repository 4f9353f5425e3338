// The values of a task's credentials as they are looked for in what comes back. Made anew only where its secrets are others; gone
// with them. Called by `brokering/`.

import type { CredentialDefinition } from '../../credentials/definition.ts'
import { reveal, revealPrivate } from '../../credentials/reveal.ts'
import type { Secret } from '../../credentials/secret.ts'
import { FormFinder, type Form } from './form-finder.ts'
import { basicFormsOf, formsOf } from './value-forms.ts'

const finders = new WeakMap<readonly Secret[], FormFinder | 'none'>()

/**
 * What finds some secrets; undefined where none of them is long enough.
 * @param secrets the same list as long as they are the same
 */
export function finderOf(
  secrets: readonly Secret[],
  definition: (name: string) => CredentialDefinition | undefined,
): FormFinder | undefined {
  let finder = finders.get(secrets)
  if (finder === undefined) {
    const forms = secrets.flatMap((secret) => allForms(secret, definition(secret.name)))
    finder = forms.length === 0 ? 'none' : new FormFinder(forms)
    finders.set(secrets, finder)
  }
  return finder === 'none' ? undefined : finder
}

function allForms(secret: Secret, definition: CredentialDefinition | undefined): Form[] {
  const { name } = secret
  const use = 'looking for an echo'
  const forms = [...new Set(revealPrivate(secret, use))].flatMap((text) => formsOf(text, name))
  const inject = definition?.inject
  if (inject?.kind !== 'basic') return forms
  return [...forms, ...basicFormsOf(inject.user, reveal(secret, use), name)]
}
