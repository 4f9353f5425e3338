// The grammar of a credential's `source`: one kind each. Paths are as written. Called by `credential-schema.ts`.

import { z } from 'zod'

import type { SourceDefinition } from '../../credentials/definition.ts'
import { capturedSource } from './captured-schema.ts'
import { localKeys, toLocal } from './local-schema.ts'
import { oauthSource } from './oauth-schema.ts'
import { exactlyOne } from './scalars.ts'

const format = z
  .enum(['text', 'json'], { error: 'expected text or json' })
  .optional()
  .describe('json: an object whose members are the parts of the credential.')

const KINDS = ['env', 'file', 'oauth', 'captured'] as const

const written = z.strictObject({
  ...localKeys,
  format,
  oauth: oauthSource.optional(),
  captured: capturedSource.optional(),
})

/** Where a credential comes from. */
export const sourceSchema: z.ZodType<SourceDefinition> = exactlyOne(
  written,
  `expected one source: ${KINDS.join(', ')}`,
  KINDS,
)
  .refine(({ env, file, format: shape }) => shape === undefined || (env ?? file) !== undefined, {
    error: '`format` is that of `env` or `file`',
    path: ['format'],
  })
  .transform((source): SourceDefinition => {
    const minted = source.oauth ?? source.captured
    return minted ?? { kind: 'local', from: toLocal(source), format: source.format ?? 'text' }
  })
