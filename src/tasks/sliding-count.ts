// How much there was within the last while, by buckets. The window that is counted is at most one bucket longer than asked
// for, so that no border can be found at which twice the number passes. Bounded: one number a bucket. Pure.
// Used by `ledger/` for limits a minute, an hour or a day, by `envelope/` and by `denials.ts`.

/** What a count comes down to: how much there was in which bucket. */
export type Buckets = readonly (readonly [bucket: number, count: number])[]

/** A count over a window that slides. Times are milliseconds of one clock that never goes back. */
export class SlidingCount {
  readonly #widthMs: number
  /** The bucket of now, and as many before it as make the window up. */
  readonly #counts: Float64Array
  #last = 0
  #sum = 0

  /** @param windowMs what may pass within it is counted @param buckets into how many it is cut */
  constructor(windowMs: number, buckets: number) {
    this.#widthMs = windowMs / buckets
    this.#counts = new Float64Array(buckets + 1)
  }

  /** How much there was within the window. */
  sum(now: number): number {
    this.#advance(now)
    return this.#sum
  }

  /** Counts what happens now. @returns the bucket it is in, to take it back */
  add(now: number, count: number): number {
    this.#advance(now)
    this.#counts[this.#slotOf(this.#last)]! += count
    this.#sum += count
    return this.#last
  }

  /** Takes back what was counted, where it counts still. */
  takeBack(bucket: number, count: number): void {
    if (bucket > this.#last || bucket <= this.#last - this.#counts.length) return
    const slot = this.#slotOf(bucket)
    const taken = Math.min(count, this.#counts[slot]!)
    this.#counts[slot]! -= taken
    this.#sum -= taken
  }

  /** Milliseconds until no more than `most` is counted, where nothing is added until then; 0: it is so now. */
  waitMs(now: number, most: number): number {
    this.#advance(now)
    let left = this.#sum
    const first = this.#last - this.#counts.length + 1
    for (let bucket = first; bucket <= this.#last && left > most; bucket += 1) {
      left -= this.#counts[this.#slotOf(bucket)]!
      if (left <= most) return (bucket + this.#counts.length) * this.#widthMs - now
    }
    return 0
  }

  /** What counts now, the oldest bucket first; empty ones are left out. */
  buckets(now: number): Buckets {
    this.#advance(now)
    const filled: [number, number][] = []
    for (let bucket = this.#last - this.#counts.length + 1; bucket <= this.#last; bucket += 1) {
      const count = this.#counts[this.#slotOf(bucket)]!
      if (count > 0) filled.push([bucket, count])
    }
    return filled
  }

  /** Counts what was kept before; what is said to be of later than now counts as of now. */
  restore(now: number, buckets: Buckets): void {
    this.#advance(now)
    for (const [kept, count] of buckets) {
      const bucket = Math.min(kept, this.#last)
      if (bucket <= this.#last - this.#counts.length) continue
      this.#counts[this.#slotOf(bucket)]! += count
      this.#sum += count
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#counts.fill(0)
    this.#sum = 0
  }

  #advance(now: number): void {
    const bucket = Math.floor(now / this.#widthMs)
    if (bucket <= this.#last) return
    if (this.#sum === 0 || bucket - this.#last >= this.#counts.length) this.clear()
    else
      for (let passed = this.#last + 1; passed <= bucket; passed += 1) {
        const slot = this.#slotOf(passed)
        this.#sum -= this.#counts[slot]!
        this.#counts[slot] = 0
      }
    this.#last = bucket
  }

  #slotOf(bucket: number): number {
    const at = bucket % this.#counts.length
    return at < 0 ? at + this.#counts.length : at
  }
}
