// What the grammars of places in a head share. Pure; called by `inject-schema.ts` and `sign-schema.ts`.

import { z } from 'zod'

/** The name of a header that may carry a credential. */
export const headerName: z.ZodType<string, string> = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, { error: 'expected the name of a header field' })
  .refine((name) => !isFramingName(name.toLowerCase()), {
    error: 'this field routes or frames the message and cannot carry a credential',
  })

/** The text of a header, in which `{}` is the value. */
export const formatText: z.ZodType<string, string | undefined> = z
  .string()
  .regex(/^[\x20-\x7e]*$/, { error: 'expected printable ASCII' })
  .refine((format) => format.split('{}').length === 2, {
    error: 'expected {} once, where the value goes',
  })
  .default('{}')

function isFramingName(lowerName: string): boolean {
  return /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|expect|proxy-.*|content-type|http2-settings)$/.test(
    lowerName,
  )
}
