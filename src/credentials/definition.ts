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
export type SourceDefinition = LocalSourceDefinition | AwsSourceDefinition

/** Where a credential stands in a request. */
export type Injection =
  | { readonly kind: 'bearer' }
  | { readonly kind: 'basic'; readonly user: string }
  /** `{}` in the format is the value. */
  | { readonly kind: 'header'; readonly name: string; readonly format: string }
  | { readonly kind: 'query'; readonly name: string }
  /** Signs as AWS has it; service and region are the client's own where they are not named. */
  | {
      readonly kind: 'sigv4'
      readonly service: string | undefined
      readonly region: string | undefined
    }

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
  return [source.kind === 'aws' ? source.login.from : source.from]
}
