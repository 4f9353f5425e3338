// The grammar of a credential's `source`: one kind each. Paths are as written. Called by `credential-schema.ts`.

import { z } from 'zod'

import type { SourceDefinition } from '../../credentials/source-definition.ts'
import { awsSourceSchema } from './aws-schema.ts'
import { capturedSource } from './captured-schema.ts'
import { execSource } from './exec-schema.ts'
import { githubSource } from './github-schema.ts'
import { localKeys, localSource, toLocal } from './local-schema.ts'
import { oauthSource } from './oauth-schema.ts'
import { exactlyOne } from './scalars.ts'
import { vaultSource } from './vault-schema.ts'

const localFormat = z
  .enum(['text', 'json'], { error: 'expected text or json' })
  .optional()
  .describe('json: an object whose members are the parts of the credential.')

const KINDS = ['env', 'file', 'exec', 'vault', 'oauth', 'captured', 'github', 'aws'] as const

/** Where a credential comes from. */
export const sourceSchema: z.ZodType<SourceDefinition> = exactlyOne(
  z.strictObject({
    ...localKeys,
    format: localFormat,
    exec: execSource.optional(),
    vault: vaultSource.optional(),
    oauth: oauthSource.optional(),
    captured: capturedSource.optional(),
    github: githubSource.optional(),
    aws: awsSourceSchema(localSource).optional(),
  }),
  `expected one source: ${KINDS.join(', ')}`,
  KINDS,
)
  .refine(({ format, env, file }) => format === undefined || (env ?? file) !== undefined, {
    error: 'only what `env` or `file` names has a format',
    path: ['format'],
  })
  .transform((written): SourceDefinition => {
    const elsewhere =
      written.exec ??
      written.vault ??
      written.oauth ??
      written.captured ??
      written.github ??
      written.aws
    if (elsewhere) return elsewhere
    return { kind: 'local', from: toLocal(written), format: written.format ?? 'text' }
  })
