// Whether new calls may begin as far as the sinks' backlogs are concerned. One of a sidecar: feeds hold it, the recorder asks
// it before a call or a message is put on record. Deliberately knows no journal and no file.

/** What a sink holds back: every new call, or those whose data is regulated. */
export type Hold = 'all' | 'regulated'

/** The sinks that hold calls back. */
export class SinkGate {
  readonly #holds = new Map<string, Hold>()
  readonly #passed = new Map<string, number>()

  /** Whether no sink holds anything back: what nearly every call finds. */
  get isOpen(): boolean {
    return this.#holds.size === 0
  }

  /** Begins, changes or ends what a sink holds back. */
  hold(sinkName: string, hold: Hold | undefined): void {
    if (hold === undefined) this.#holds.delete(sinkName)
    else this.#holds.set(sinkName, hold)
  }

  /** Remembers how far a sink is. */
  passed(sinkName: string, seq: number): void {
    this.#passed.set(sinkName, seq)
  }

  /** How far the slowest of the other sinks is. */
  slowestBut(sinkName: string): number {
    let slowest = Infinity
    for (const [name, seq] of this.#passed) if (name !== sinkName) slowest = Math.min(slowest, seq)
    return slowest
  }

  /** The names of the sinks that a new call, of regulated data or not, has to wait for. */
  heldBy(isRegulated: boolean): string[] {
    return [...this.#holds]
      .filter(([, hold]) => hold === 'all' || isRegulated)
      .map(([sinkName]) => sinkName)
  }
}
