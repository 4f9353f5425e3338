// A body without values of credentials: in text they are replaced, other content is cut at the first. Pulled as it comes; only what
// may begin a value waits, and a little of it not for long. Made by `scrub-response.ts`.

import { setTimeout as delay } from 'node:timers/promises'

import { EgressError } from '../../errors.ts'
import type { Body, RawHeaders } from '../../wire/body.ts'
import { looksLikeText, type ContentKind } from './content.ts'
import { scrubTexts } from './head.ts'
import { Scrubber } from './scrubber.ts'
import type { Watch } from './watch.ts'

/** After so long without a byte the other side may be waiting for what waits here. */
const IDLE_MS = 50

/** A body over another. */
export class WatchedBody implements Body {
  readonly length: number | undefined
  readonly #body: Body
  readonly #watch: Watch
  readonly #scrubber: Scrubber
  #finder: ReturnType<Watch['finder']>
  #kind: ContentKind
  #found: string | undefined
  #isOver = false
  #isIdle = false
  #unread: Uint8Array | undefined
  #trailers: RawHeaders | undefined

  constructor(body: Body, watch: Watch, kind: ContentKind) {
    this.length = body.length
    this.#body = body
    this.#watch = watch
    this.#kind = kind
    this.#finder = watch.finder()
    this.#scrubber = new Scrubber(this.#finder, (credential) => {
      this.#found ??= credential
      watch.onFound(credential, 'body')
    })
  }

  get trailers(): RawHeaders {
    const { trailers } = this.#body
    if (trailers.length === 0) return trailers
    this.#trailers ??= scrubTexts(trailers, this.#watch, 'trailer')
    return this.#trailers
  }

  read(): Uint8Array | null | undefined {
    const unread = this.#unread
    this.#unread = undefined
    return unread ?? this.#read()
  }

  wait(): Promise<void> {
    if (this.#unread !== undefined || this.#isOver) return Promise.resolve()
    return this.#scrubber.canFlush ? this.#waitShortly() : this.#body.wait()
  }

  abort(cause: Error): void {
    this.#body.abort(cause)
  }

  /** Puts back what was read last. */
  unread(chunk: Uint8Array): void {
    this.#unread = chunk
  }

  #read(): Uint8Array | null | undefined {
    while (!this.#isOver) {
      const chunk = this.#body.read()
      if (chunk === undefined) return this.#flush()
      const out = chunk === null ? this.#end() : this.#take(chunk)
      if (this.#kind === 'other' && this.#found !== undefined) this.#cut(this.#found)
      if (out.length > 0) return out
    }
    return null
  }

  async #waitShortly(): Promise<void> {
    const stop = new AbortController()
    const idle = delay(IDLE_MS, true, { signal: stop.signal }).catch(() => false)
    this.#isIdle = await Promise.race([this.#body.wait().then(() => false), idle])
    stop.abort()
  }

  #flush(): Uint8Array | undefined {
    const few = this.#isIdle ? this.#scrubber.flush() : undefined
    this.#isIdle = false
    return few !== undefined && few.length > 0 ? few : undefined
  }

  #take(chunk: Uint8Array): Uint8Array {
    if (this.#kind === 'unsaid') this.#kind = looksLikeText(chunk) ? 'text' : 'other'
    const finder = this.#watch.finder()
    if (finder !== this.#finder) this.#scrubber.use(finder)
    this.#finder = finder
    return this.#scrubber.push(chunk)
  }

  #end(): Uint8Array {
    this.#isOver = true
    return this.#scrubber.end()
  }

  #cut(credential: string): never {
    const cause = new EgressError('credential-echoed', { credential, place: 'body' })
    this.#body.abort(cause)
    throw cause
  }
}
