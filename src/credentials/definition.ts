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

/** Where a credential comes from. */
export type SourceDefinition = LocalSourceDefinition

/** Whether what a source gives is the same for all tasks and valid beyond them, as far as its definition says. */
export function isStaticSource(source: SourceDefinition): boolean {
  return source.kind === 'local'
}

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
  return [source.from]
}
