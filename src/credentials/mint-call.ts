// One question to an issuer: within its turn and its time, and called off with its task. What comes after that is not lost: it
// is told, to be taken back. Made by `lease-holder.ts`, once a question.

import { ProviderError, type Issuer, type Minted, type MintRequest } from './issuer.ts'
import type { MintGate } from './mint-gate.ts'
import type { Timing } from './timing.ts'

/** What asking needs. */
export interface MintCallOptions {
  readonly issuer: Issuer
  readonly gate: MintGate
  readonly timing: Timing
  readonly timeoutMs: number
  /** Told of what came when nobody waited any more. */
  readonly onLate: (minted: Minted) => void
}

/** What an issuer gave, and how. */
export interface Asked {
  readonly minted: Minted
  readonly by: 'renewal' | 'mint'
}

/** One question. */
export class MintCall {
  readonly #options: MintCallOptions
  readonly #abort = new AbortController()
  /** Whether the issuer has been asked: from then on it may have minted. */
  hasAsked = false

  constructor(options: MintCallOptions) {
    this.#options = options
  }

  /** Nobody wants it any more. */
  stop(): void {
    this.#abort.abort(new ProviderError('the task has ended'))
  }

  /** @param before what may be prolonged in place of minting anew @throws ProviderError */
  async run(request: Omit<MintRequest, 'signal'>, before: Minted | undefined): Promise<Asked> {
    const { gate, timing, timeoutMs } = this.#options
    const { signal } = this.#abort
    const callOff = timing.after(timeoutMs, () => {
      this.#abort.abort(new ProviderError('the provider does not answer in time'))
    })
    let leave: (() => void) | undefined
    try {
      leave = await gate.enter(signal)
      this.hasAsked = true
      return await this.#unlessStopped(this.#ask({ ...request, signal }, before))
    } finally {
      callOff()
      leave?.()
    }
  }

  async #ask(request: MintRequest, before: Minted | undefined): Promise<Asked> {
    const { issuer, timing } = this.#options
    const endsAt = before?.expiresAt ?? 0
    if (before !== undefined && issuer.renew && endsAt > timing.now()) {
      const renewed = await issuer.renew(before, request).catch((error: unknown) => {
        // What cannot be prolonged is minted.
        if (error instanceof ProviderError && error.isLasting) return undefined
        throw error
      })
      // A provider that has a longest life prolongs up to it, and no further.
      if (renewed !== undefined && (renewed.expiresAt ?? Infinity) > endsAt)
        return { minted: renewed, by: 'renewal' }
    }
    return { minted: await issuer.mint(request), by: 'mint' }
  }

  #unlessStopped(asked: Promise<Asked>): Promise<Asked> {
    const { signal } = this.#abort
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        reject(signal.reason)
        asked.then(
          ({ minted }) => this.#options.onLate(minted),
          () => undefined,
        )
      }
      signal.addEventListener('abort', stop, { once: true })
      asked.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
    })
  }
}
