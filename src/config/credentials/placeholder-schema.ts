// The grammar of a credential's `placeholder`, and what it is where nothing is written. Pure; called by `credential-schema.ts`,
// `resolve.ts` and `cross-check.ts`.

import { z } from 'zod'

import {
  ALPHABETS,
  type Alphabet,
  type CredentialDefinition,
  type PlaceholderDefinition,
} from '../../credentials/definition.ts'
import { JWT_BEGINNING } from '../../credentials/placeholder.ts'
import { positiveInteger } from '../../tasks/scalars.ts'
import { variableName } from './scalars.ts'

/** What is written of one placeholder. */
interface ShapeSection {
  readonly env?: string | undefined
  readonly prefix?: string | undefined
  readonly length?: number | undefined
  readonly alphabet?: Alphabet | undefined
}

/** A placeholder as it is written. */
export interface PlaceholderSection extends ShapeSection {
  readonly shape?: 'jwt' | undefined
  readonly parts?: Readonly<Record<string, ShapeSection>> | undefined
}

/** What of a definition is made of it. */
export type Placeholders = Pick<CredentialDefinition, 'placeholder' | 'otherPlaceholders'>

/** Bits that a placeholder has beyond its prefix, at the least, as 16 letters and digits have: fewer could be met by accident. */
const DERIVED_BITS_MIN = 16 * Math.log2(ALPHABETS.alphanumeric.length)
const DERIVED_BITS_DEFAULT = 2 * DERIVED_BITS_MIN
const LENGTH_MAX = 512
const ALPHABET_NAMES = [
  'alphanumeric',
  'lower',
  'upper',
  'base32',
  'hex',
  'digits',
] as const satisfies readonly Alphabet[]

const shape = {
  env: variableName.optional(),
  prefix: z
    .string()
    .regex(/^[\w.-]{1,64}$/, { error: 'expected letters, digits, _ . and - only' })
    .optional(),
  length: positiveInteger
    .refine((length) => length <= LENGTH_MAX, { error: `expected at most ${LENGTH_MAX}` })
    .optional(),
  alphabet: z
    .enum(ALPHABET_NAMES, { error: `expected one of ${ALPHABET_NAMES.join(', ')}` })
    .optional()
    .describe('The characters beyond the prefix; default: alphanumeric.'),
}

const partSchema = withLength(z.strictObject(shape))

/** What stands for a credential in a sandbox. */
export const placeholderSchema: z.ZodType<PlaceholderSection> = withLength(
  z.strictObject({
    ...shape,
    shape: z
      .literal('jwt', { error: 'expected jwt' })
      .optional()
      .describe('A token of three parts that can be read and that nobody signed.'),
    parts: z
      .record(z.string().regex(/^[a-z][A-Za-z]{0,31}$/), partSchema)
      .optional()
      .describe('Those of the parts of a credential that has several, by their names.'),
  }),
)
  .refine(
    ({ shape: chosen, prefix, length, alphabet }) =>
      chosen === undefined || [prefix, length, alphabet].every((one) => one === undefined),
    { error: 'a JWT has no prefix, length or alphabet of its own', path: ['shape'] },
  )
  .prefault({})

/** Kinds of injection whose clients need several texts, each of a shape that they check; by the names of the parts. */
const PARTS_BY_KIND: Readonly<Record<string, Readonly<Record<string, PlaceholderDefinition>>>> = {
  sigv4: {
    accessKeyId: { env: 'AWS_ACCESS_KEY_ID', prefix: 'AKIA', length: 20, alphabet: 'base32' },
    secretAccessKey: { env: 'AWS_SECRET_ACCESS_KEY', prefix: 'sallyport', length: 40 },
    sessionToken: { env: 'AWS_SESSION_TOKEN', prefix: 'sallyport', length: 64 },
  },
}

/** Whether a kind of injection has several texts. */
export function hasParts(kind: string): boolean {
  return Object.hasOwn(PARTS_BY_KIND, kind)
}

/** Says what is wrong with a placeholder of a kind of injection; undefined where nothing is. */
export function placeholderFault(
  kind: string,
  { parts, ...whole }: PlaceholderSection,
): { readonly path: readonly string[]; readonly message: string } | undefined {
  const known = PARTS_BY_KIND[kind]
  if (known === undefined)
    return parts && { path: ['parts'], message: 'this place has a single text' }
  const names = Object.keys(known).join(', ')
  const [key] = Object.entries(whole).find(([, value]) => value !== undefined) ?? []
  if (key !== undefined)
    return { path: [key], message: `expected it below \`parts\`, by part: ${names}` }
  const other = Object.keys(parts ?? {}).find((part) => !Object.hasOwn(known, part))
  return other === undefined
    ? undefined
    : { path: ['parts', other], message: `expected one of ${names}` }
}

/** Completes what placeholders have by default: a name and a prefix made from the credential's, or what clients of its kind check. */
export function completePlaceholders(
  name: string,
  kind: string,
  { parts = {}, ...whole }: PlaceholderSection,
): Placeholders {
  const known = Object.entries(PARTS_BY_KIND[kind] ?? {})
  const [first, ...others] = known.map(([part, usual]) => completePart(part, usual, parts[part]))
  if (first === undefined) return { placeholder: completeWhole(name, whole) }
  return { placeholder: first, otherPlaceholders: others }
}

function completePart(
  part: string,
  usual: PlaceholderDefinition,
  { env, prefix, length, alphabet }: ShapeSection = {},
): PlaceholderDefinition {
  const chosen = alphabet ?? usual.alphabet
  const isUsual = prefix === undefined && alphabet === undefined
  return {
    env: env ?? usual.env,
    prefix: prefix ?? usual.prefix,
    length: length ?? (isUsual ? usual.length : lengthOf(prefix ?? usual.prefix, chosen)),
    ...(chosen && { alphabet: chosen }),
    part,
  }
}

function completeWhole(
  name: string,
  { env = variableOf(name), prefix, length, alphabet, shape: chosen }: PlaceholderSection,
): PlaceholderDefinition {
  if (chosen === 'jwt') return { env, prefix: JWT_BEGINNING, length: 0, shape: chosen }
  const begins = prefix ?? `sallyport_${name}_`
  return {
    env,
    prefix: begins,
    length: length ?? lengthOf(begins, alphabet),
    ...(alphabet && { alphabet }),
  }
}

function variableOf(name: string): string {
  const text = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
  return `${text.replace(/^(?=\d)/, '_')}_TOKEN`
}

function lengthOf(prefix: string, alphabet: Alphabet | undefined): number {
  return prefix.length + charactersOf(DERIVED_BITS_DEFAULT, alphabet)
}

function charactersOf(bits: number, alphabet: Alphabet = 'alphanumeric'): number {
  return Math.ceil(bits / Math.log2(ALPHABETS[alphabet].length))
}

function withLength<Schema extends z.ZodType<ShapeSection>>(schema: Schema): Schema {
  return schema.check((context) => {
    const { length, prefix = '', alphabet } = context.value
    const atLeast = charactersOf(DERIVED_BITS_MIN, alphabet)
    if (length === undefined || length >= prefix.length + atLeast) return
    context.issues.push({
      code: 'custom',
      message: `expected at least ${atLeast} characters beyond the prefix`,
      path: ['length'],
      input: context.value,
    })
  })
}
