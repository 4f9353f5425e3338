// Where credentials come from, as the configuration defines it: one shape a kind of source. Data only; made by `config/`, read by
// the issuers.

import type { PartName } from './material.ts'

/** A text that the operator keeps outside the configuration: where it is read from. */
export type LocalSource = { readonly env: string } | { readonly file: string }

/** A credential that is such a text itself, the same for all tasks. */
interface LocalSourceDefinition {
  readonly kind: 'local'
  readonly from: LocalSource
  /** `json`: an object whose members are the parts of the credential. */
  readonly format: 'text' | 'json'
}

/** A credential that a program of the operator's prints. */
export interface ExecSourceDefinition {
  readonly kind: 'exec'
  /** A program and its arguments. */
  readonly command: readonly string[]
  /** What takes back what the other printed, and gets it on its stdin. */
  readonly revoke?: readonly string[]
  /** Names of variables that they are given besides PATH. */
  readonly env: readonly string[]
  /** What is printed is the same for all tasks and valid beyond them. */
  readonly isStatic: boolean
}

/** How one proves oneself to a Vault; mounts are those of the auth methods. */
export type VaultLogin =
  | { readonly kind: 'token'; readonly secret: LocalSource }
  | {
      readonly kind: 'appRole'
      readonly mount: string
      readonly roleId: string
      readonly secret: LocalSource
    }
  | {
      readonly kind: 'kubernetes' | 'jwt'
      readonly mount: string
      readonly role: string
      readonly secret: LocalSource
    }

/** What stands in which member of a Vault's answer, by the names of the parts of a credential. */
export type VaultFields = Readonly<Partial<Record<PartName, string>>>

/** What is asked of a Vault. */
export type VaultAsk =
  /** A secret of a KV store, version 2: the same for all tasks. */
  | {
      readonly kind: 'kv'
      readonly mount: string
      readonly path: string
      /** The latest unless written. */
      readonly version?: number
      readonly fields: VaultFields
    }
  /** A secret that is made when it is asked for. */
  | {
      readonly kind: 'lease'
      /** With `{param}` for what the task has by that name. */
      readonly path: string
      /** Likewise; absent: it is read, not written to. */
      readonly parameters?: Readonly<Record<string, string>>
      /** The parameter that says how long it is to last. */
      readonly ttlParameter?: string
      /** Absent: the usual ones. */
      readonly fields?: VaultFields
    }

/** A credential that HashiCorp Vault or OpenBao keeps or makes. */
export interface VaultSourceDefinition {
  readonly kind: 'vault'
  /** A URL without a slash at its end. */
  readonly address: string
  readonly namespace?: string
  readonly login: VaultLogin
  readonly ask: VaultAsk
  /** Roots trusted for it besides the others. */
  readonly caFile?: string
}

/** Whom an authorization server knows us as, and what proves it. */
export interface OAuthClientDefinition {
  readonly id: string
  readonly proof:
    | { readonly kind: 'basic' | 'post'; readonly secret: LocalSource }
    /** A JWT signed by a private key in PEM, RFC 7523. */
    | { readonly kind: 'key'; readonly key: LocalSource; readonly keyId?: string }
    | { readonly kind: 'none' }
}

/** An authorization server, as far as it is written where it is; the rest its metadata say. All are URLs. */
export interface OAuthServerDefinition {
  readonly issuer?: string
  readonly token?: string
  readonly revoke?: string
  readonly introspect?: string
}

/** A token that is given in exchange, RFC 8693; `task`: what is known of the task, signed by the client's key. */
export interface OAuthExchangedToken {
  readonly from: LocalSource | 'task'
  /** A URI. */
  readonly type: string
}

/** What an access token is given for. */
export type OAuthGrant =
  | { readonly kind: 'client' }
  | { readonly kind: 'refresh'; readonly token: LocalSource }
  | {
      readonly kind: 'exchange'
      readonly subject: OAuthExchangedToken
      readonly actor?: OAuthExchangedToken
      /** A URI. */
      readonly requestedType?: string
    }

/** A credential that an authorization server mints: an access token for each task. */
export interface OAuthSourceDefinition {
  readonly kind: 'oauth'
  readonly server: OAuthServerDefinition
  readonly client: OAuthClientDefinition
  readonly grant: OAuthGrant
  /** These three with `{param}` for what the task has by that name. */
  readonly scope: readonly string[]
  readonly audience: readonly string[]
  /** RFC 8707. */
  readonly resource: readonly string[]
}

/** A credential that a client in the sandbox asks a token endpoint for: what comes back is kept here. */
export interface CapturedSourceDefinition {
  readonly kind: 'captured'
  /** The URL of the token endpoint. */
  readonly from: string
  /** The member of its answer. */
  readonly field: string
  /** Where it is taken back, and who may; absent: nowhere. */
  readonly revocation?: {
    readonly server: OAuthServerDefinition
    readonly client: OAuthClientDefinition
  }
}

/** How far a permission of a GitHub App goes. */
type GithubAccess = 'read' | 'write' | 'admin'

/** Tokens of an installation of a GitHub App, for some of its repositories. */
export interface GithubSourceDefinition {
  readonly kind: 'github'
  /** The app's id, or its client id. */
  readonly app: string
  /** Its private key, PEM. */
  readonly key: LocalSource
  /** Undefined: that of the repositories' owner. */
  readonly installation: string | undefined
  /** `owner/name`, or the name alone; with the task's params. */
  readonly repositories: readonly string[]
  readonly permissions: Readonly<Record<string, GithubAccess>>
  /** The root of the API. */
  readonly api: string
}

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

/** A role of AWS that a session is of; `{param}` in its texts is the task's. */
export interface AwsRole {
  readonly roleArn: string
  /** `{task}` is the task's id. */
  readonly sessionName: string
  /** What a session may do at most; undefined: what its role may. */
  readonly policy: JsonObject | undefined
  readonly policyArns: readonly string[]
  readonly externalId: string | undefined
  readonly durationMs: number
}

/** A credential that is a session of a role of AWS, one a task. */
export interface AwsSourceDefinition {
  readonly kind: 'aws'
  /** Of STS. */
  readonly endpoint: string
  readonly region: string
  readonly role: AwsRole
  /** What STS is asked with: keys in JSON, or a token. */
  readonly login: { readonly kind: 'keys' | 'web-identity'; readonly from: LocalSource }
}

/** Where a credential comes from. */
export type SourceDefinition =
  | LocalSourceDefinition
  | ExecSourceDefinition
  | VaultSourceDefinition
  | OAuthSourceDefinition
  | CapturedSourceDefinition
  | GithubSourceDefinition
  | AwsSourceDefinition

/** Lists every text on this machine that a source reads: itself, or what it proves itself to its provider with. */
export function localSourcesOf(source: SourceDefinition): readonly LocalSource[] {
  switch (source.kind) {
    case 'exec':
      // Where a home is, is no secret.
      return source.env.filter((name) => name !== 'HOME').map((env) => ({ env }))
    case 'vault':
      return [source.login.secret]
    case 'oauth':
      return [...localsOfClient(source.client), ...localsOfGrant(source.grant)]
    case 'captured':
      return source.revocation ? localsOfClient(source.revocation.client) : []
    case 'github':
      return [source.key]
    case 'aws':
      return [source.login.from]
    case 'local':
    default:
      return [source.from]
  }
}

function localsOfClient({ proof }: OAuthClientDefinition): LocalSource[] {
  if (proof.kind === 'none') return []
  return [proof.kind === 'key' ? proof.key : proof.secret]
}

function localsOfGrant(grant: OAuthGrant): LocalSource[] {
  if (grant.kind === 'refresh') return [grant.token]
  if (grant.kind === 'client') return []
  const { subject, actor } = grant
  return [subject, actor].flatMap((one) =>
    one === undefined || one.from === 'task' ? [] : [one.from],
  )
}

/** Whether what a source gives is the same for all tasks and valid beyond them. */
export function isStaticSource(source: SourceDefinition): boolean {
  switch (source.kind) {
    case 'local':
      return true
    case 'exec':
      return source.isStatic
    case 'vault':
      return source.ask.kind === 'kv'
    case 'oauth':
    case 'captured':
    case 'github':
    case 'aws':
    default:
      return false
  }
}
