// The first member of a bundle: what is in it, what is not, and why. Shapes and their reading. Called by `write-bundle.ts` and
// `verify-bundle.ts`.

import type { CheckpointKey } from '../proof/checkpoint.ts'
import type { KeyAnnouncement } from '../proof/key-announcement.ts'
import { isFramework, type Framework } from './control-map.ts'
import type { EvidenceScope } from './derive.ts'

/** What a bundle calls itself. */
export const BUNDLE = 'sallyport evidence 1'

/** A member by its name, its size and its hash. */
interface ManifestMember {
  readonly name: string
  readonly bytes: number
  /** Lower-case hex. */
  readonly sha256: string
}

/** What `manifest.json` holds. */
export interface Manifest {
  readonly bundle: typeof BUNDLE
  /** The version of the program that wrote it. */
  readonly program: string
  /** Of the shapes that are derived from the records. */
  readonly derivation: number
  readonly scope: EvidenceScope
  /** Empty: all. */
  readonly frameworks: readonly Framework[]
  /** When the last record in it was written. */
  readonly asOf: string | undefined
  readonly records: number
  readonly members: readonly ManifestMember[]
  /** What a reader might look for and does not find. */
  readonly missing: readonly { readonly what: string; readonly why: string }[]
}

/** What `keys.json` holds. */
export interface BundleKeys {
  /** Of checkpoints and seals. */
  readonly checkpoints: readonly CheckpointKey[]
  /** How one key of checkpoints followed another. */
  readonly announcements: readonly KeyAnnouncement[]
  /** Of receipts. */
  readonly receipts: readonly CheckpointKey[]
}

/** Reads a manifest; undefined where it is none. */
export function readManifest(text: string): Manifest | undefined {
  const value = readJson(text)
  if (!isObject(value) || value['bundle'] !== BUNDLE) return undefined
  const { program, derivation, frameworks, asOf, records, members, missing } = value
  const scope = readScope(value['scope'])
  if (scope === undefined || typeof program !== 'string' || typeof derivation !== 'number')
    return undefined
  if (!Array.isArray(members) || !members.every(isMember)) return undefined
  if (!Array.isArray(frameworks) || !Array.isArray(missing)) return undefined
  return {
    bundle: BUNDLE,
    program,
    derivation,
    scope,
    frameworks: textsOf(frameworks).filter(isFramework),
    asOf: typeof asOf === 'string' ? asOf : undefined,
    records: typeof records === 'number' ? records : 0,
    members,
    missing: missing.filter(isMissing),
  }
}

/** Reads the keys of a bundle; what is no key is left out. */
export function readKeys(text: string): BundleKeys {
  const value = readJson(text)
  const listOf = (name: string): unknown[] => {
    const list = isObject(value) ? value[name] : undefined
    return Array.isArray(list) ? list : []
  }
  return {
    checkpoints: listOf('checkpoints').filter(isKey),
    announcements: listOf('announcements').filter(isAnnouncement),
    receipts: listOf('receipts').filter(isKey),
  }
}

/** Whether a value is a public key as checkpoints have it. */
export function isKey(value: unknown): value is CheckpointKey {
  return (
    isObject(value) &&
    value['kty'] === 'OKP' &&
    value['crv'] === 'Ed25519' &&
    typeof value['x'] === 'string' &&
    typeof value['kid'] === 'string'
  )
}

/** Whether a value is how a key was put on record; its signatures are another matter. */
export function isAnnouncement(value: unknown): value is KeyAnnouncement {
  return (
    isObject(value) &&
    typeof value['journal'] === 'string' &&
    typeof value['from'] === 'string' &&
    typeof value['signature'] === 'string' &&
    isKey(value['key']) &&
    (value['previous'] === undefined || isKey(value['previous']))
  )
}

/** Whether a value is an object of JSON. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Reads JSON; undefined where it is none. */
function readJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

function readScope(value: unknown): EvidenceScope | undefined {
  if (!isObject(value)) return undefined
  const { task, since, until } = value
  if (typeof task === 'string') return { task }
  const isTime = (time: unknown): time is string | undefined =>
    time === undefined || typeof time === 'string'
  return isTime(since) && isTime(until) ? { since, until } : undefined
}

function isMember(value: unknown): value is ManifestMember {
  return (
    isObject(value) &&
    typeof value['name'] === 'string' &&
    typeof value['bytes'] === 'number' &&
    typeof value['sha256'] === 'string'
  )
}

function isMissing(value: unknown): value is Manifest['missing'][number] {
  return isObject(value) && typeof value['what'] === 'string' && typeof value['why'] === 'string'
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
