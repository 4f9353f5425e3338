// Credentials as the configuration defines them: where each comes from, where it stands in a request, what stands for it in a
// sandbox. Data only; made by `config/`, read by `inject/` and this room.

import type { Endpoint } from '../wire/authority.ts'
import type { HmacInjection, HttpSignatureInjection } from './signing.ts'
import type { SourceDefinition } from './source-definition.ts'

/** Where a credential stands in a request. */
export type Injection =
  | { readonly kind: 'bearer' }
  | { readonly kind: 'basic'; readonly user: string }
  /** `{}` in the format is the value. */
  | { readonly kind: 'header'; readonly name: string; readonly format: string }
  | { readonly kind: 'query'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }
  /** One segment, counted from 1; `{}` in the format is the value. */
  | { readonly kind: 'path'; readonly segment: number; readonly format: string }
  /** A field of a form. */
  | { readonly kind: 'form'; readonly field: string }
  /** A member of a JSON body, by the names on the way to it. @see RFC 6901 */
  | { readonly kind: 'json'; readonly pointer: readonly string[] }
  /** A certificate, shown by TLS. */
  | { readonly kind: 'mtls' }
  | HmacInjection
  | HttpSignatureInjection
  /** Signs as AWS has it; service and region are the client's own where they are not named. */
  | {
      readonly kind: 'sigv4'
      readonly service: string | undefined
      readonly region: string | undefined
    }

/** The kinds that stand in a head, as they are written once the call is judged; the others are added last. */
export const HEAD_KINDS: readonly Injection['kind'][] = [
  'bearer',
  'basic',
  'header',
  'query',
  'cookie',
  'path',
]

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
