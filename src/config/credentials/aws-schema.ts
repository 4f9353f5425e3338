// The grammar of `aws` in a credential's `source`. Paths are as written. Pure; called by `source-schema.ts`.

import { z } from 'zod'

import type { AwsSourceDefinition, LocalSource } from '../../credentials/source-definition.ts'
import { boundedText, duration } from '../../tasks/scalars.ts'
import { exactlyOne } from './scalars.ts'

const SECONDS_MIN = 900
const SECONDS_MAX = 43_200

const arn = z.string().regex(/^arn:[\w-]+:iam::[^\s]{1,512}$/, {
  error: 'expected an ARN such as arn:aws:iam::123456789012:role/agent',
})

const roleSchema = z.strictObject({
  roleArn: arn,
  sessionName: z
    .string()
    .regex(/^(?:[\w+=,.@-]|\{task\}){2,64}$/, {
      error: 'expected letters, digits, =,.@- and {task}',
    })
    .default('sallyport-{task}')
    .describe('{task} is the id of the task.'),
  policy: z
    .looseObject({ Statement: z.union([z.array(z.looseObject({})), z.looseObject({})]) })
    .optional()
    .describe('What the session may do at most; {param} in its texts is of the task.'),
  policyArns: z.array(arn).max(10, { error: 'expected at most 10' }).default([]),
  externalId: boundedText(1224).optional(),
  duration: duration
    .refine((ms) => ms >= SECONDS_MIN * 1000 && ms <= SECONDS_MAX * 1000, {
      error: 'expected 15m to 12h',
    })
    .prefault('1h')
    .describe('How long a session is valid at most; the task may end it before.'),
})

/** Makes the schema of the source. @param local of a text that is kept outside the configuration */
export function awsSourceSchema(local: z.ZodType<LocalSource>): z.ZodType<AwsSourceDefinition> {
  return exactlyOne(
    z.strictObject({
      region: z.string().regex(/^[a-z0-9-]{2,64}$/, { error: 'expected a region' }),
      endpoint: z
        .string()
        .regex(/^https:\/\/[^\s/@#?]+\/?$/, { error: 'expected https://HOST' })
        .refine((url) => URL.canParse(url), { error: 'expected a URL' })
        .optional()
        .describe("Default: the region's own."),
      assumeRole: roleSchema,
      using: local
        .optional()
        .describe('JSON with accessKeyId and secretAccessKey that may assume the role.'),
      webIdentity: local.optional().describe('A token that the role trusts.'),
    }),
    'expected `using` or `webIdentity`',
    ['using', 'webIdentity'],
  ).transform(({ region, endpoint, assumeRole, using, webIdentity }): AwsSourceDefinition => {
    const { duration: durationMs, policy, externalId, ...role } = assumeRole
    return {
      kind: 'aws',
      region,
      endpoint:
        endpoint ?? `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`,
      role: { ...role, policy, externalId, durationMs },
      login: using
        ? { kind: 'keys', from: using }
        : { kind: 'web-identity', from: webIdentity ?? { file: '' } },
    }
  })
}
