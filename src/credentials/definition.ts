// Credentials as the configuration defines them: where each comes from, where it stands in a request, what stands for it in a
// sandbox. Data only; made by `config/`, read by `inject/` and this room.

import type { Endpoint } from '../wire/authority.ts'
import type { PartName } from './material.ts'

/** A text that the operator keeps outside the configuration: where it is read from. */
export type LocalSource = { readonly env: string } | { readonly file: string }

/** A credential that is such a text itself, the same for all tasks. */
export interface LocalSourceDefinition {
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

/** Where a credential comes from. */
export type SourceDefinition = LocalSourceDefinition | ExecSourceDefinition | VaultSourceDefinition

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
  /** May be sent over `http://`, where the rule lists the addresses. */
  readonly insecurePlaintext: boolean
}

/** Lists every text on this machine that a source reads: itself, or what it proves itself to its provider with. */
export function localSourcesOf(source: SourceDefinition): readonly LocalSource[] {
  switch (source.kind) {
    case 'exec':
      // Where a home is, is no secret.
      return source.env.filter((name) => name !== 'HOME').map((env) => ({ env }))
    case 'vault':
      return [source.login.secret]
    case 'local':
    default:
      return [source.from]
  }
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
