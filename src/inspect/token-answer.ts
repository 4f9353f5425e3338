// An answer of a token endpoint as a sandbox may see it: the members that are captured hold what stands for them, and whatever
// else looks like a token is worthless text. Pure; called by `brokering/capture.ts`.

import { Buffer } from 'node:buffer'

import type { JsonValue } from './fields.ts'
import { readJson } from './json.ts'

/** What stands where a token was that nobody declared. */
export const WITHHELD = 'sallyport-withheld'

const TOKEN_NAME =
  /token$|tokens$|secret|assertion|password|credential|jwt|cookie|apikey|accesskey|^(?:access|refresh|session|sid|bearer|ticket|code|devicecode|key)$/
const JWT = /^[\w-]{10,}\.[\w-]{10,}\.[\w-]*$/
// They end as tokens do and say what one is.
const NO_TOKEN: ReadonlySet<string> = new Set(['issuedtoken', 'tokentype'])

/** An answer without its tokens. */
export interface TokenAnswer {
  /** JSON, written anew: nothing passes that was not read. */
  readonly body: Uint8Array
  /** The texts of the members that are captured, by their names; only where they are there and text. */
  readonly tokens: ReadonlyMap<string, string>
  /** In seconds; undefined: it does not say. */
  readonly expiresIn: number | undefined
}

/**
 * Reads an answer and takes its tokens out.
 * @param standIns what stands for a captured member, by the member's name
 * @throws malformed-body where it is no JSON that all readers read alike
 */
export function takeTokens(bytes: Uint8Array, standIns: ReadonlyMap<string, string>): TokenAnswer {
  const read = readJson(bytes)
  const tokens = new Map<string, string>()
  const values = new Map<string, string>()
  if (isObject(read))
    for (const [name, standIn] of standIns) {
      const value = Object.hasOwn(read, name) ? read[name] : undefined
      if (typeof value !== 'string' || value === '') continue
      tokens.set(name, value)
      values.set(value, standIn)
    }
  const written = replaceIn(read, values, standIns, false)
  const expiresIn = isObject(read) && Object.hasOwn(read, 'expires_in') ? read['expires_in'] : 0
  return {
    body: Buffer.from(JSON.stringify(written)),
    tokens,
    expiresIn: Number(expiresIn) > 0 ? Number(expiresIn) : undefined,
  }
}

// A value that is captured stands nowhere else either, not even within another text; no text below the name of a token is kept.
function replaceIn(
  value: JsonValue,
  values: ReadonlyMap<string, string>,
  declared: ReadonlyMap<string, string>,
  isInToken: boolean,
): JsonValue {
  if (typeof value === 'string') {
    if (isInToken) return values.get(value) ?? WITHHELD
    let text = value
    for (const [token, standIn] of values) text = text.replaceAll(token, () => standIn)
    return text === value && JWT.test(text) ? WITHHELD : text
  }
  if (Array.isArray(value)) return value.map((item) => replaceIn(item, values, declared, isInToken))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      if (typeof item === 'string' && values.has(item)) return [name, values.get(item)!]
      const isToken = isTokenName(name) || declared.has(name)
      if (!isToken || isObject(item))
        return [name, replaceIn(item, values, declared, isInToken || isToken)]
      // Many a service numbers its outcomes so.
      if (typeof item === 'number' && name === 'code') return [name, item]
      return [name, item === null || typeof item === 'boolean' ? item : WITHHELD]
    }),
  )
}

function isTokenName(name: string): boolean {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  return TOKEN_NAME.test(plain) && !NO_TOKEN.has(plain)
}

function isObject(value: JsonValue): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
