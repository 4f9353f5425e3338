// How much of a push is looked at, and what is left of it. Beyond the first two a push is refused; beyond the others an
// update is not shown to be a fast-forward. Called by `push.ts` and `understand/git.ts`.

import { DEFAULT_LIMITS, type Limits } from '../../limits.ts'

/** The bounds of one push. */
export interface PushBounds {
  /** Bytes before the pack: commands, capabilities, shallow commits, options. */
  readonly commandBytesMax: number
  /** Updates of one push. */
  readonly commandsMax: number
  /** Bytes of the pack that are looked at; as many are held back until the push is decided. */
  readonly packBytesMax: number
  /** Objects of the pack that are looked at. */
  readonly objectsMax: number
  /** Bytes that objects and deltas come to when they are inflated, all together. */
  readonly inflatedBytesMax: number
  /** Bytes of one commit. */
  readonly commitBytesMax: number
  /** Parents that are followed, those of all updates together. */
  readonly stepsMax: number
}

/** The bounds of a push, of which an operator says two. */
export function boundPush({
  pushCommandsMax,
  pushHeldBytesMax,
}: Pick<Limits, 'pushCommandsMax' | 'pushHeldBytesMax'>): PushBounds {
  return {
    commandBytesMax: 1024 * 1024,
    commandsMax: pushCommandsMax,
    packBytesMax: pushHeldBytesMax,
    objectsMax: 20_000,
    inflatedBytesMax: 32 * 1024 * 1024,
    commitBytesMax: 1024 * 1024,
    stepsMax: 500_000,
  }
}

/** What a push is bounded by unless somebody says otherwise. */
export const PUSH_BOUNDS: PushBounds = boundPush(DEFAULT_LIMITS)

/** Bytes that may be made out of what is hostile, spent before they are made. */
export class Budget {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** Whether so many bytes were left; if not, nothing is from now on. */
  spend(bytes: number): boolean {
    this.#left -= bytes
    if (this.#left >= 0) return true
    this.#left = -Infinity
    return false
  }
}
