// The grammar of `sigv4` in a credential's `inject`. Pure; called by `inject-schema.ts`.

import { z } from 'zod'

import type { Injection } from '../../credentials/definition.ts'

/** What a signature of AWS is for, as it is written. */
export interface Sigv4Section {
  readonly service?: string | undefined
  readonly region?: string | undefined
}

const scopeName = z.string().regex(/^[\w.-]{1,64}$/, { error: 'expected a name such as s3' })

/** Signing as AWS has it. */
export const sigv4Schema: z.ZodType<Sigv4Section> = z
  .strictObject({
    service: scopeName
      .optional()
      .describe('The service as signatures name it; a request signed for another is refused.'),
    region: scopeName.optional().describe('The region; a request signed for another is refused.'),
  })
  .describe('AWS Signature Version 4 over what is sent; accessKeyId and secretAccessKey sign.')

/** Completes it. */
export function toSigv4({ service, region }: Sigv4Section): Injection {
  return { kind: 'sigv4', service, region }
}
