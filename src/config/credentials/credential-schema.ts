// The grammar of one entry of `credentials:`. Deliberately reads no secret: a source is named here and opened by the
// credentials room. Called by `schema.ts`.

import { z } from 'zod'

import type { CredentialDefinition } from '../../credentials/definition.ts'
import { hostPort } from '../scalars.ts'
import { flag, providerUrl } from './scalars.ts'
import { injectSchema } from './inject-schema.ts'
import {
  hasParts,
  placeholderFault,
  placeholderSchema,
  type PlaceholderSection,
} from './placeholder-schema.ts'
import { sourceSchema } from './source-schema.ts'

/** Everything of a definition but its name; paths of the source are as written. */
export type CredentialSection = Omit<
  CredentialDefinition,
  'name' | 'placeholder' | 'otherPlaceholders'
> & {
  readonly placeholder: PlaceholderSection
}

/** One credential as it is written. */
export const credentialSchema: z.ZodType<CredentialSection> = z
  .strictObject({
    source: sourceSchema,
    inject: injectSchema,
    hosts: z.array(hostPort).min(1, { error: 'expected at least one host' }),
    placeholder: placeholderSchema,
    answers: z
      .strictObject({
        imds: flag.optional(),
        ecs: flag.optional(),
        oauth: providerUrl.optional(),
      })
      .optional()
      .describe('Endpoints of which clients ask for it, answered here with placeholders.'),
    insecurePlaintext: z
      .boolean()
      .default(false)
      .describe('Send it without TLS too, where the rule lists the addresses.'),
  })
  .check((context) => {
    const { inject, placeholder, answers } = context.value
    const report = (path: string[], message: string): void => {
      context.issues.push({ code: 'custom', message, path, input: context.value })
    }
    const fault = placeholderFault(inject.kind, placeholder)
    if (fault !== undefined) report(['placeholder', ...fault.path], fault.message)
    const isOfAws = (answers?.imds ?? answers?.ecs) !== undefined
    if (isOfAws && !hasParts(inject.kind))
      report(['answers'], '`imds` and `ecs` are for a credential that signs for AWS')
    if (answers?.oauth !== undefined && hasParts(inject.kind))
      report(['answers', 'oauth'], '`oauth` is for a credential that is one text')
  })
