// The keys that checkpoints are signed with, and the id of the journal: made at the first start and kept in one file of the
// state directory, readable by its owner alone. Of the keys before the current one only the public halves are kept.
// Deliberately decides nothing about when: `checkpoints.ts` does.

import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { makeUlid } from '../../wire/ulid.ts'
import {
  signCheckpoint,
  type Checkpoint,
  type CheckpointKey,
  type CheckpointStatement,
} from './checkpoint.ts'
import { publicKeyOf, signAnnouncement, type KeyAnnouncement } from './key-announcement.ts'
import type { TextSignature } from '../detect/self-check.ts'

/** A key as it is shown. */
export interface ShownKey extends CheckpointKey {
  /** From when on it signed, ISO 8601 in UTC. */
  readonly from: string
  /** Until when; absent for the one in use. */
  readonly until?: string
}

interface Kept {
  /** The id of the journal. */
  readonly journal: string
  /** PKCS #8 in PEM, of the last of `keys`. */
  readonly privateKey: string
  /** The oldest first. */
  readonly keys: readonly KeyAnnouncement[]
}

const FILE = 'checkpoint-keys.json'

/** Five years of keys that live for a month. */
const KEYS_KEPT = 60

/** The keys of one installation. */
export class CheckpointKeys {
  readonly #file: string
  #kept: Kept
  #privateKey: KeyObject

  /**
   * Reads the keys, or makes the first one.
   * @param now epoch milliseconds
   * @throws Error where the file cannot be used
   */
  constructor(stateDir: string, now: number) {
    this.#file = join(stateDir, FILE)
    const found = readKept(this.#file)
    this.#kept = found ?? { journal: makeUlid(now), privateKey: '', keys: [] }
    this.#privateKey = found === undefined ? this.#begin(now) : createPrivateKey(found.privateKey)
  }

  /** The id of the journal. */
  get journal(): string {
    return this.#kept.journal
  }

  /** How each key was put on record, the oldest first; the last one is in use. */
  get announcements(): readonly KeyAnnouncement[] {
    return this.#kept.keys
  }

  /** All keys, the one in use first. */
  get shown(): ShownKey[] {
    const { keys } = this.#kept
    return keys
      .map(({ key, from }, at): ShownKey => {
        const until = keys[at + 1]?.from
        return { ...key, from, ...(until !== undefined && { until }) }
      })
      .toReversed()
  }

  /** Signs what is to be said of this journal. */
  sign(statement: Omit<CheckpointStatement, 'journal'>): Checkpoint {
    const { journal, keys } = this.#kept
    return signCheckpoint({ journal, ...statement }, this.#privateKey, keys.at(-1)?.key.kid ?? '')
  }

  /** Signs a text of another kind, which its first line names. */
  signText(text: string): TextSignature {
    const signature = sign(null, Buffer.from(text), this.#privateKey).toString('base64url')
    return { key: this.#kept.keys.at(-1)?.key.kid ?? '', signature }
  }

  /** Whether the key in use is older than it may become. */
  isOver(lifetimeMs: number, now: number): boolean {
    return now - Date.parse(this.#kept.keys.at(-1)?.from ?? '') >= lifetimeMs
  }

  /**
   * Goes on with a new key; the private half of the one before is gone then.
   * @throws the system's error where it cannot be written: the old one stays in use
   */
  rotate(now: number): KeyAnnouncement {
    this.#privateKey = this.#begin(now)
    return this.#kept.keys.at(-1)!
  }

  #begin(now: number): KeyObject {
    const { journal, keys } = this.#kept
    const { privateKey } = generateKeyPairSync('ed25519')
    const previous = keys.at(-1)?.key
    const from = new Date(now).toISOString()
    const announcement = signAnnouncement(
      { journal, key: publicKeyOf(privateKey), ...(previous && { previous }), from },
      privateKey,
      previous && this.#privateKey,
    )
    const kept: Kept = {
      journal,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      keys: [...keys, announcement].slice(-KEYS_KEPT),
    }
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 })
    const beside = `${this.#file}.new`
    writeFileSync(beside, `${JSON.stringify(kept, undefined, 2)}\n`, { mode: 0o600, flush: true })
    renameSync(beside, this.#file)
    this.#kept = kept
    return privateKey
  }
}

function readKept(file: string): Kept | undefined {
  if (!existsSync(file)) return undefined
  try {
    const kept: Kept = JSON.parse(readFileSync(file, 'utf8'))
    const { kid } = publicKeyOf(createPrivateKey(kept.privateKey))
    if (typeof kept.journal !== 'string' || kept.keys.at(-1)?.key.kid !== kid)
      throw new Error('its parts do not fit together')
    return kept
  } catch (error) {
    throw new Error(
      `${file} holds no keys of checkpoints: restore it, or move it away to begin with a new key`,
      { cause: error },
    )
  }
}
