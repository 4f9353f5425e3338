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

/** Where a credential comes from. */
export type SourceDefinition = LocalSourceDefinition | GithubSourceDefinition

/** Where a credential stands in a request. */
export type Injection =
  | { readonly kind: 'bearer' }
  | { readonly kind: 'basic'; readonly user: string }
  /** `{}` in the format is the value. */
  | { readonly kind: 'header'; readonly name: string; readonly format: string }
  | { readonly kind: 'query'; readonly name: string }

/** The name of some characters. */
export type Alphabet = 'alphanumeric' | 'lower' | 'upper' | 'base32' | 'hex' | 'digits'

/** Characters that placeholders are made of, by name. */
export const ALPHABETS: Readonly<Record<Alphabet, string>> = {
  alphanumeric: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
  lower: 'abcdefghijklmnopqrstuvwxyz0123456789',
  upper: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
  base32: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567',
  hex: '0123456789abcdef',
  digits: '0123456789',
}

/** What stands for a credential, or for one part of it, in a sandbox. */
export interface PlaceholderDefinition {
  /** The sandbox's variable. */
  readonly env: string
  readonly prefix: string
  /** Characters in all; a JWT has as many as it has. */
  readonly length: number
  /** Default: `alphanumeric`. */
  readonly alphabet?: Alphabet
  /** Default: the prefix and derived characters. */
  readonly shape?: 'jwt'
  /** The part of the credential that it stands for; undefined: its value. */
  readonly part?: string
}

/** Where clients first ask for a credential, answered by this sidecar with placeholders. */
export interface Answers {
  /** The metadata service of AWS. */
  readonly imds?: true | undefined
  /** What AWS has for containers. */
  readonly ecs?: true | undefined
  /** A token URL of OAuth. */
  readonly oauth?: string | undefined
}

/** A credential as the configuration defines it. */
export interface CredentialDefinition {
  readonly name: string
  readonly source: SourceDefinition
  readonly inject: Injection
  /** The only hosts it is ever sent to. */
  readonly hosts: readonly Pick<Endpoint, 'host' | 'kind' | 'port'>[]
  readonly placeholder: PlaceholderDefinition
  /** Where clients need several texts: those of its other parts. */
  readonly otherPlaceholders?: readonly PlaceholderDefinition[]
  readonly answers?: Answers | undefined
  /** May be sent over `http://`, where the rule lists the addresses. */
  readonly insecurePlaintext: boolean
}

/** Lists every text on this machine that a source reads: itself, or what it proves itself to its provider with. */
export function localSourcesOf(source: SourceDefinition): readonly LocalSource[] {
  return source.kind === 'github' ? [source.key] : [source.from]
}

/** Lists all that stands for a credential in a sandbox, one a part. */
export function placeholdersOf({
  placeholder,
  otherPlaceholders = [],
}: Pick<
  CredentialDefinition,
  'placeholder' | 'otherPlaceholders'
>): readonly PlaceholderDefinition[] {
  return [placeholder, ...otherPlaceholders]
}
