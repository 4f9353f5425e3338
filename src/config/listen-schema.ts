// The grammar of `listen`: where each door stands. Deliberately no check across sections. Called by `schema.ts`.

import { z } from 'zod'

import { listenAddress } from './scalars.ts'
import type { ListenAddress } from './units.ts'

/** The section as it is written; a unix socket's path is as written. */
export interface ListenSection {
  readonly proxy: ListenAddress
  readonly socks?: ListenAddress | undefined
  readonly transparent?:
    | {
        readonly http?: ListenAddress | undefined
        readonly tls?: ListenAddress | undefined
        readonly dns?: ListenAddress | undefined
      }
    | undefined
  readonly health: ListenAddress
}

/** The grammar of the section. */
export const listenSchema: z.ZodType<ListenSection> = z
  .strictObject({
    proxy: listenAddress
      .prefault('127.0.0.1:3128')
      .describe('The explicit proxy: ADDRESS:PORT or unix:PATH.'),
    socks: listenAddress.optional().describe('SOCKS5 with remote DNS; off unless given.'),
    transparent: z
      .strictObject({
        http: listenAddress.optional().describe('Takes connections that were meant for port 80.'),
        tls: listenAddress.optional().describe('Takes connections that were meant for port 443.'),
        dns: listenAddress.optional().describe('Answers allowed names only, over UDP and TCP.'),
      })
      .optional()
      .describe('For clients that do not know of the proxy; off unless given. Needs `task`.'),
    health: listenAddress.prefault('127.0.0.1:15020').describe('/healthz, /readyz and /metrics.'),
  })
  .prefault({})
