// The grammar of a credential's `source`: one kind each. Paths are as written. Called by `credential-schema.ts`.

import { z } from 'zod'

import type { LocalSource, SourceDefinition } from '../../credentials/definition.ts'
import { boundedText } from '../../tasks/scalars.ts'
import { awsSourceSchema } from './aws-schema.ts'
import { exactlyOne, variableName } from './scalars.ts'

const format = z
  .enum(['text', 'json'], { error: 'expected text or json' })
  .optional()
  .describe('json: an object whose members are the parts of the credential.')

const LOCAL_EXPECTED = 'expected { env: NAME } or { file: PATH }'

/** A text that is kept outside the configuration: `{ env: NAME }` or `{ file: PATH }`. */
export const localSource: z.ZodType<LocalSource> = exactlyOne(
  z.strictObject(
    { env: variableName.optional(), file: boundedText(4096).optional() },
    { error: LOCAL_EXPECTED },
  ),
  LOCAL_EXPECTED,
).transform(toLocal)

const KINDS = ['env', 'file', 'aws'] as const

/** Where a credential comes from. */
export const sourceSchema: z.ZodType<SourceDefinition> = exactlyOne(
  z.strictObject({
    env: variableName.optional(),
    file: boundedText(4096).optional(),
    format,
    aws: awsSourceSchema(localSource).optional(),
  }),
  `expected one source: ${KINDS.join(', ')}`,
  KINDS,
)
  .refine(({ env, file, format: shape }) => shape === undefined || (env ?? file) !== undefined, {
    error: '`format` is that of `env` or `file`',
    path: ['format'],
  })
  .transform((written): SourceDefinition => {
    return (
      written.aws ?? { kind: 'local', from: toLocal(written), format: written.format ?? 'text' }
    )
  })

function toLocal({
  env,
  file = '',
}: {
  readonly env?: string | undefined
  readonly file?: string | undefined
}): LocalSource {
  return env === undefined ? { file } : { env }
}
