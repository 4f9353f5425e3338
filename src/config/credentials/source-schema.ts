// The grammar of a credential's `source`: one kind each. Paths are as written. Called by `credential-schema.ts`.

import { z } from 'zod'

import type { SourceDefinition } from '../../credentials/definition.ts'
import { githubSource } from './github-schema.ts'
import { localKeys, toLocal } from './local-schema.ts'
import { exactlyOne } from './scalars.ts'

const format = z
  .enum(['text', 'json'], { error: 'expected text or json' })
  .optional()
  .describe('json: an object whose members are the parts of the credential.')

const KINDS = ['env', 'file', 'github'] as const

const written = z.strictObject({
  ...localKeys,
  format,
  github: githubSource.optional(),
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
    return (
      source.github ?? { kind: 'local', from: toLocal(source), format: source.format ?? 'text' }
    )
  })
