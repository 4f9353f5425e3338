// The grammar of a text that is kept outside the configuration. Paths are as written. Pure; called by the grammars that need
// one.

import { z } from 'zod'

import type { LocalSource } from '../../credentials/definition.ts'
import { boundedText } from '../../tasks/scalars.ts'
import { exactlyOne, variableName } from './scalars.ts'

const EXPECTED = 'expected { env: NAME } or { file: PATH }'

/** The two keys, of which one is written. */
export const localKeys: {
  readonly env: z.ZodOptional<z.ZodType<string, string>>
  readonly file: z.ZodOptional<z.ZodType<string, string>>
} = { env: variableName.optional(), file: boundedText(4096).optional() }

/** A text that is kept outside the configuration: `{ env: NAME }` or `{ file: PATH }`. */
export const localSource: z.ZodType<LocalSource> = exactlyOne(
  z.strictObject(localKeys, { error: EXPECTED }),
  EXPECTED,
).transform(toLocal)

/** What was written under the two keys. */
export function toLocal({
  env,
  file = '',
}: {
  readonly env?: string | undefined
  readonly file?: string | undefined
}): LocalSource {
  return env === undefined ? { file } : { env }
}
