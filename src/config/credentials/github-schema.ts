// The grammar of a source that is a GitHub App. The path of its key is as written. Pure; called by `source-schema.ts`.

import { z } from 'zod'

import type { GithubSourceDefinition } from '../../credentials/source-definition.ts'
import { localSource } from './local-schema.ts'
import { providerUrl } from './scalars.ts'

const REPOSITORIES_MAX = 500

const id = z.union([
  z
    .number()
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .transform((number) => String(number)),
  z.string().regex(/^[\w.-]{1,64}$/, { error: 'expected an id' }),
])

/** What follows `github:`. */
export const githubSource: z.ZodType<GithubSourceDefinition> = z
  .strictObject({
    app: id.describe("The app's id, or its client id."),
    key: localSource.describe("The app's private key, PEM."),
    installation: z
      .union([z.number().int().min(1), z.string().regex(/^[1-9]\d{0,18}$/)], {
        error: 'expected the number of an installation',
      })
      .transform((number) => String(number))
      .optional()
      .describe("Default: that of the repositories' owner."),
    repositories: z
      .array(
        z
          .string()
          .regex(/^[\w.{}/-]{1,200}$/, { error: "expected owner/name, a name or '{param}'" }),
      )
      .min(1, { error: 'expected at least one repository' })
      .max(REPOSITORIES_MAX, { error: `expected at most ${REPOSITORIES_MAX} repositories` })
      .describe('A token is for these alone; `{param}` is the value of the task.'),
    permissions: z
      .record(
        z.string().regex(/^[a-z][a-z_]{0,63}$/, { error: 'expected the name of a permission' }),
        z.enum(['read', 'write', 'admin'], { error: 'expected read, write or admin' }),
      )
      .refine((permissions) => Object.keys(permissions).length > 0, {
        error: 'expected at least one permission',
      }),
    api: providerUrl.default('https://api.github.com'),
  })
  .transform(({ installation, ...source }): GithubSourceDefinition => ({
    kind: 'github',
    ...source,
    installation,
  }))
