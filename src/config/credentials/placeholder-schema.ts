// The grammar of a credential's `placeholder`, and what it is where nothing is written. Pure; called by `credential-schema.ts`.

import { z } from 'zod'

import type { PlaceholderDefinition } from '../../credentials/definition.ts'
import { positiveInteger } from '../../tasks/scalars.ts'
import { variableName } from './scalars.ts'

/** A placeholder as it is written. */
export interface PlaceholderSection {
  readonly env?: string | undefined
  readonly prefix?: string | undefined
  readonly length?: number | undefined
}

/** Letters and digits that a placeholder has beyond its prefix, at the least: fewer could be met by accident. */
const DERIVED_MIN = 16
const DERIVED_DEFAULT = 32

/** What stands for a credential in a sandbox. */
export const placeholderSchema: z.ZodType<PlaceholderSection> = z
  .strictObject({
    env: variableName.optional(),
    prefix: z
      .string()
      .regex(/^[\w.-]{1,64}$/, { error: 'expected letters, digits, _ . and - only' })
      .optional(),
    length: positiveInteger
      .refine((length) => length <= 512, { error: 'expected at most 512' })
      .optional(),
  })
  .refine(({ prefix, length }) => isLongEnough(prefix, length), {
    error: `expected at least ${DERIVED_MIN} characters beyond the prefix`,
    path: ['length'],
  })
  .prefault({})

/** Completes what a placeholder has by default: a name and a prefix made from the credential's. */
export function completePlaceholder(
  name: string,
  { env, prefix = `sallyport_${name}_`, length }: PlaceholderSection,
): PlaceholderDefinition {
  return {
    env: env ?? variableOf(name),
    prefix,
    length: length ?? prefix.length + DERIVED_DEFAULT,
  }
}

function variableOf(name: string): string {
  const text = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
  return `${text.replace(/^(?=\d)/, '_')}_TOKEN`
}

function isLongEnough(prefix: string | undefined, length: number | undefined): boolean {
  return length === undefined || length >= (prefix?.length ?? 0) + DERIVED_MIN
}
