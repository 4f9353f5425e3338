// What the grammars of sources, places and placeholders share. Pure.

import { z } from 'zod'

/** The name of an environment variable. */
export const variableName: z.ZodType<string, string> = z
  .string()
  .regex(/^[A-Za-z_]\w{0,127}$/, { error: 'expected the name of an environment variable' })

/** Nothing but `true`. */
export const flag: z.ZodType<true, true> = z.literal(true, { error: 'expected true' })

/** An object with exactly one of some keys: `{}` and two kinds at once are refused with words of their own. */
export function exactlyOne<Shape extends z.ZodObject>(
  schema: Shape,
  expected: string,
  keys: readonly string[] = Object.keys(schema.shape),
): Shape {
  const isWritten = (value: object, key: string): boolean => Reflect.get(value, key) !== undefined
  const isWhole = keys.length === Object.keys(schema.shape).length
  return schema
    .refine((value) => keys.filter((key) => isWritten(value, key)).length === 1, {
      error: expected,
    })
    .meta(isWhole ? { minProperties: 1, maxProperties: 1 } : { minProperties: 1 })
}

/** The URL of a provider: what goes over a network in the clear is whoever's, and so is a name that ought to be loopback. */
export const providerUrl: z.ZodType<string, string> = z
  .string()
  .max(2048, { error: 'expected at most 2048 characters' })
  .refine(isProviderUrl, { error: 'expected https://…, or http://… at a loopback address' })

function isProviderUrl(written: string): boolean {
  if (!/^https?:\/\/[^\s/@#\\]+(?:\/[^\s@#\\]*)?$/.test(written) || !URL.canParse(written))
    return false
  const { protocol, hostname } = new URL(written)
  return protocol === 'https:' || hostname === '[::1]' || /^127(?:\.\d+){3}$/.test(hostname)
}
