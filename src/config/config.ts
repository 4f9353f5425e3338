// The configuration as the running program reads it: one plain, resolved, read-only object. Paths are absolute, times are
// milliseconds, sizes bytes. Data only; `load.ts` makes it, `sidecar.ts` and the command line read it.

import type { PrincipalDefinition } from '../control/roles.ts'
import type { ControlTls } from '../control/server.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import type { Limits } from '../limits.ts'
import type { Profiles } from '../policy/profiles.ts'
import type { ContentModes } from '../policy/subject.ts'
import type { RedactSection } from './redact-schema.ts'
import type { HookSection } from './hook-schema.ts'
import type { ReviewerSection } from './reviewer-schema.ts'
import type { ProxySection } from './upstream-schema.ts'
import type { SinkDefinition } from './sink-definition.ts'
import type { Task } from '../tasks/task.ts'
import type { ListenAddress } from './units.ts'

/** A task as the configuration defines it: what a task is, before it has an id and a time. */
export interface TaskDefinition extends Omit<
  Task,
  'id' | 'path' | 'intentDigest' | 'startsAt' | 'expiresAt'
> {
  /** From its start to its end; at most `limits.taskLifetimeMs`. */
  readonly lifetimeMs: number
}

/** Whose workload tokens are taken. */
export interface JwtDefinition {
  readonly issuer: string | undefined
  readonly audience: string
  /** Where the issuer's public keys are. */
  readonly jwks: { readonly file: string } | { readonly url: string }
}

/** Everything that can be configured. */
export interface Config {
  /** Absolute path of the file this was read from; undefined where there was none. */
  readonly file: string | undefined
  readonly listen: {
    /** The explicit proxy. */
    readonly proxy: ListenAddress
    /** SOCKS5; undefined: off. */
    readonly socks: ListenAddress | undefined
    /** For clients that do not know of the proxy: connections meant for port 80 and for port 443, and names. */
    readonly transparent: {
      readonly http: ListenAddress | undefined
      readonly tls: ListenAddress | undefined
      readonly dns: ListenAddress | undefined
    }
    /** `/healthz`, `/readyz`, `/metrics`. */
    readonly health: ListenAddress
  }
  readonly control: {
    readonly listen: ListenAddress
    /** Holds the one administrator's token, where no principals are named. */
    readonly tokenFile: string | undefined
    readonly principals: readonly PrincipalDefinition[]
    readonly tls: ControlTls | undefined
  }
  readonly ca: {
    /** Public material only: `ca.crt`, `ca-bundle.crt`. */
    readonly dir: string
    readonly keyFile: string
    readonly lifetimeMs: number
  }
  readonly rules: {
    readonly dir: string
    /** Names of the sets whose denies and limits bind every task. */
    readonly always: readonly string[]
  }
  /** Tasks, cursors and keys; made with mode 0700. */
  readonly stateDir: string
  /** The sidecar's one static task; undefined: nobody is known, so everything is refused. */
  readonly task: TaskDefinition | undefined
  /** How a caller proves its task. */
  readonly identity: {
    /** Whether a task that is made is given a token. */
    readonly token: boolean
    /** Whose tokens are taken; undefined: none. */
    readonly jwt: JwtDefinition | undefined
    /** PEM file of the trust bundle that clients' certificates are verified by; undefined: no TLS on the proxy listener. */
    readonly clientCaFile: string | undefined
  }
  readonly credentials: readonly CredentialDefinition[]
  readonly journal: {
    readonly dir: string
    readonly sync: 'process' | 'disk'
    readonly segmentBytes: number
    readonly retainMs: number
    readonly maxBytes: number
    /** Refusals beyond this are counted in one record. */
    readonly denialsPerTaskPerSecond: number
  }
  /** How much of what is said a record keeps, unless a rule says more. */
  readonly record: ContentModes
  /** What is taken out of records, and which header fields are in them. */
  readonly redact: RedactSection
  readonly sinks: readonly SinkDefinition[]
  readonly refusals: {
    /** `early`: a CONNECT is refused; `inside`: it is accepted and the requests in it are answered, nothing is dialed. */
    readonly connect: 'early' | 'inside'
  }
  readonly upstream: {
    /** Fixed answers by normalised name; addresses are canonical. */
    readonly hosts: Readonly<Record<string, readonly string[]>>
    /** DNS servers as `ADDRESS:PORT`; undefined: the system's. */
    readonly resolver: readonly string[] | undefined
    /** CIDRs that names may resolve to although they are special-purpose. */
    readonly allowAddresses: readonly string[]
    /** PEM files of roots trusted for upstreams besides the public ones; each existed when the configuration was read. */
    readonly caFiles: readonly string[]
    /** What calls go out through; undefined: nothing. */
    readonly proxy: ProxySection | undefined
  }
  /** What ends sandboxes, by name. */
  readonly hooks: Readonly<Record<string, HookSection>>
  /** Who is asked about held calls by webhook, by name. */
  readonly reviewers: Readonly<Record<string, ReviewerSection>>
  /** What rules with a profile have to be. */
  readonly profiles: Profiles
  readonly limits: Limits
}
