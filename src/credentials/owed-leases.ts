// The leases that have to be taken back some day, on the disk from before they are used: a crash loses none of them. Of each
// no value is kept, and what takes it back is encrypted. Deliberately asks no provider: `take-back.ts` does.

import path from 'node:path'

import { StateLog } from '../tasks/state-log.ts'
import { makeUlid } from '../wire/ulid.ts'
import type { HandleVault } from './handle-vault.ts'
import { ProviderError, type Minted, type RevocationHandle } from './issuer.ts'

/**
 * How far a lease is. `minting`: its provider was asked and had not answered; `settled`: nothing is left to be done, and the
 * receipt of its task does not say so yet.
 */
type Phase = 'minting' | 'held' | 'settled'

/** How nothing was left to be done. */
type Settlement = 'confirmed' | 'expired'

/** A lease as it is kept. */
export interface OwedLease {
  /** Ours. */
  readonly id: string
  /** The task's id. */
  readonly task: string
  readonly credential: string
  /** Digest of where it comes from: what takes it back is shown to nobody else. */
  readonly source: string
  readonly phase: Phase
  /** Epoch milliseconds; undefined: none is known. */
  readonly expiresAt?: number
  /** Undefined: the provider cannot take it back. */
  readonly sealed?: string
  /** What the provider calls it, where that is no secret. */
  readonly providerId?: string
  readonly settlement?: Settlement
}

interface GoneLease {
  readonly id: string
  readonly phase: 'gone'
}

/** What the list needs. */
export interface OwedLeasesOptions {
  readonly stateDir: string
  readonly vault: HandleVault
  /** Leases at once. */
  readonly leasesMax: number
  /** Epoch milliseconds. */
  readonly now: () => number
}

const FILE = 'leases.ndjson'
/** No date is further from the epoch: what a provider says beyond it is no end. */
const TIME_MS_MAX = 8.64e15
const HANDLE_CHARACTERS_MAX = 64 * 1024
const PHASES: ReadonlySet<unknown> = new Set<Phase>(['minting', 'held', 'settled'])
const TEXTS = ['id', 'task', 'credential', 'source']

/** The list of them. */
export class OwedLeases {
  readonly #options: OwedLeasesOptions
  readonly #log: StateLog<OwedLease | GoneLease>
  /** Of leases that count against the limit. */
  readonly #open: Set<string> = new Set()

  /** @throws Error where the file cannot be read or written, or is not what was written */
  constructor(options: OwedLeasesOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.stateDir, FILE), isKept)
    for (const lease of this.#log.values()) if (lease.phase === 'gone') this.#log.forget(lease.id)
    for (const { id } of this.kept()) this.#open.add(id)
  }

  /** Those that are on the disk. */
  kept(): OwedLease[] {
    return [...this.#log.values()].filter((lease) => lease.phase !== 'gone')
  }

  /** Writes down that a provider is about to be asked. @throws ProviderError where there is no room */
  begin(about: Pick<OwedLease, 'task' | 'credential' | 'source'>): OwedLease {
    const { leasesMax, now } = this.#options
    if (this.#open.size >= leasesMax)
      throw new ProviderError('too many leases wait to be taken back')
    const lease: OwedLease = {
      id: `l_${makeUlid(now()).toLowerCase()}`,
      ...about,
      phase: 'minting',
    }
    try {
      this.#log.append(lease, false)
    } catch (error) {
      throw new ProviderError('that it is minted cannot be written down', { cause: error })
    }
    this.#open.add(lease.id)
    return lease
  }

  /** Says what a lease is once the provider has given it: known by this process, whether or not it can be written down. */
  describe(lease: OwedLease, { handle, expiresAt, id }: Omit<Minted, 'material'>): OwedLease {
    return {
      id: lease.id,
      task: lease.task,
      credential: lease.credential,
      source: lease.source,
      phase: 'held',
      ...(expiresAt !== undefined && Math.abs(expiresAt) <= TIME_MS_MAX && { expiresAt }),
      ...(handle && { sealed: this.#options.vault.seal(handle, aboutOf(lease)) }),
      ...(id !== undefined && { providerId: id }),
    }
  }

  /** Writes a lease down and waits for the disk. @throws Error where that fails: it must not be used then */
  save(lease: OwedLease): void {
    if ((lease.sealed?.length ?? 0) > HANDLE_CHARACTERS_MAX)
      throw new Error('what takes a lease back is too long')
    this.#open.add(lease.id)
    this.#log.append(lease, true)
  }

  /** What takes a lease back; undefined where there is nothing, or it cannot be read any more. */
  handleOf(lease: OwedLease): RevocationHandle | undefined {
    const { sealed } = lease
    return sealed === undefined ? undefined : this.#options.vault.open(sealed, aboutOf(lease))
  }

  /** Says that nothing is left to be done about a lease. What cannot be written is done once more after a start. */
  settle(lease: OwedLease): void {
    this.#try(lease)
  }

  /** Forgets a lease. */
  forget({ id }: OwedLease): void {
    this.#try({ id, phase: 'gone' })
    this.#log.forget(id)
    this.#open.delete(id)
  }

  close(): void {
    this.#log.close()
  }

  #try(lease: OwedLease | GoneLease): void {
    try {
      this.#log.append(lease, false)
    } catch {
      // Asked again for what is gone, a provider says so.
    }
  }
}

function aboutOf({ id, task, credential, source }: OwedLease): string {
  return JSON.stringify([id, task, credential, source])
}

function isKept(value: unknown): value is OwedLease | GoneLease {
  if (typeof value !== 'object' || value === null) return false
  const member = (name: string): unknown => Reflect.get(value, name)
  if (member('phase') === 'gone') return typeof member('id') === 'string'
  return PHASES.has(member('phase')) && TEXTS.every((name) => typeof member(name) === 'string')
}
