// The grammar of `upstream`: how the other side is found, trusted and reached. Called by `schema.ts`.

import { z } from 'zod'

import { boundedText, cidr } from '../tasks/scalars.ts'
import { address, hostName, resolverAddress } from './scalars.ts'

/** The section as it is written. */
export interface UpstreamSection {
  readonly hosts: Readonly<Record<string, readonly string[]>>
  readonly resolver?: readonly string[] | undefined
  readonly allowAddresses: readonly string[]
  /** Paths as written. */
  readonly ca: readonly string[]
}

const filePath = boundedText(4096)

/** The grammar of the section. */
export const upstreamSchema: z.ZodType<UpstreamSection> = z
  .strictObject({
    hosts: z
      .record(hostName, z.array(address).min(1, { error: 'expected at least one address' }))
      .default({})
      .describe(
        'Fixed answers, asked before any resolver; their addresses are checked like any other.',
      ),
    resolver: z
      .array(resolverAddress)
      .min(1)
      .optional()
      .describe("DNS servers; the system's unless given."),
    allowAddresses: z
      .array(cidr)
      .default([])
      .describe('Ranges that names may resolve to although special-purpose.'),
    ca: z.array(filePath).default([]).describe('PEM files of further roots for upstreams.'),
  })
  .prefault({})
