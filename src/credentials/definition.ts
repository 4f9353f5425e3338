// Credentials as the configuration defines them: where each comes from, where it stands in a request, what stands for it in a
// sandbox. Data only; made by `config/`, read by `inject/` and this room.

import type { Endpoint } from '../wire/authority.ts'

/** A text that the operator keeps outside the configuration: where it is read from. */
export type LocalSource = { readonly env: string } | { readonly file: string }

/** A credential that is such a text itself, the same for all tasks. */
export interface LocalSourceDefinition {
  readonly kind: 'local'
  readonly from: LocalSource
  /** `json`: an object whose members are the parts of the credential. */
  readonly format: 'text' | 'json'
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

/** Where a credential comes from. */
export type SourceDefinition =
  LocalSourceDefinition | OAuthSourceDefinition | CapturedSourceDefinition

/** Where a credential stands in a request. */
export type Injection =
  | { readonly kind: 'bearer' }
  | { readonly kind: 'basic'; readonly user: string }
  /** `{}` in the format is the value. */
  | { readonly kind: 'header'; readonly name: string; readonly format: string }
  | { readonly kind: 'query'; readonly name: string }

/** What stands for a credential in a sandbox. */
export interface PlaceholderDefinition {
  /** The sandbox's variable. */
  readonly env: string
  readonly prefix: string
  /** Characters in all. */
  readonly length: number
}

/** A credential as the configuration defines it. */
export interface CredentialDefinition {
  readonly name: string
  readonly source: SourceDefinition
  readonly inject: Injection
  /** The only hosts it is ever sent to. */
  readonly hosts: readonly Pick<Endpoint, 'host' | 'kind' | 'port'>[]
  readonly placeholder: PlaceholderDefinition
  /** May be sent over `http://`, where the rule lists the addresses. */
  readonly insecurePlaintext: boolean
}

/** Lists every text on this machine that a source reads: itself, or what it proves itself to its provider with. */
export function localSourcesOf(source: SourceDefinition): readonly LocalSource[] {
  if (source.kind === 'local') return [source.from]
  if (source.kind === 'oauth')
    return [...localsOfClient(source.client), ...localsOfGrant(source.grant)]
  return source.revocation ? localsOfClient(source.revocation.client) : []
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
