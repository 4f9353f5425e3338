// The records of no task that a task's evidence needs: which rules were loaded when it began and since, what was switched off,
// what the program found out about itself. Bounded. Pure. Called by `write-bundle.ts`.

import type { RecordBody } from '../body.ts'
import { readDefinition } from '../again/defined.ts'
import { readLoaded, type LoadedAt } from '../again/find.ts'

const ACTIONS = /^(?:rules-|kill-switch-|owner-|self-check|journal-recovered|checkpoint-key)/
const LINES_MAX = 10_000
const LOADED_MAX = 1000

/** Gathers them in order. */
export class ContextLines {
  readonly #write: (line: string) => void
  readonly #loaded: LoadedAt[] = []
  readonly #named: Set<string> = new Set()
  readonly #pinned: Set<string> = new Set()
  /** Lines behind the last record that belongs to it: they count once another one does. */
  #pending: { readonly line: string; readonly loaded: LoadedAt | undefined }[] = []
  #hasBegun = false
  #lines = 0

  /** @param write takes each line that belongs to the context */
  constructor(write: (line: string) => void) {
    this.#write = write
  }

  /** Digests of the files of sets that the tasks name, and of those that bind every task. */
  get versions(): ReadonlySet<string> {
    const versions = new Set<string>(this.#pinned)
    for (const { sets, always } of this.#loaded)
      for (const written of sets) {
        const at = written.lastIndexOf('@')
        const name = written.slice(0, at)
        if (this.#named.has(name) || always.includes(name)) versions.add(written.slice(at + 1))
      }
    return versions
  }

  /** Takes the next line of the journal. @param isIn whether it is a record of what the bundle is about */
  add(line: string, record: RecordBody, isIn: boolean): void {
    const { event, sallyport } = record
    if (isIn) {
      const definition = readDefinition(sallyport.detail?.['definition'])
      for (const reference of definition?.rules ?? []) {
        const [name = '', version] = reference.split('@', 2)
        if (version === undefined) this.#named.add(name)
        else this.#pinned.add(version)
      }
      this.#hasBegun = true
      this.#flush()
    }
    if (sallyport.task !== undefined || !ACTIONS.test(event.action)) return
    const isLoaded = event.action === 'rules-loaded'
    // Before the beginning the last rules count, and the keys.
    if (!this.#hasBegun && !isLoaded && event.action !== 'checkpoint-key') return
    const loaded = isLoaded ? readLoaded(record) : undefined
    if (!this.#hasBegun && isLoaded)
      this.#pending = this.#pending.filter((each) => each.loaded === undefined)
    if (this.#pending.length < LINES_MAX) this.#pending.push({ line, loaded })
  }

  #flush(): void {
    for (const { line, loaded } of this.#pending) {
      if (this.#lines >= LINES_MAX) break
      this.#lines += 1
      this.#write(line)
      if (loaded !== undefined && this.#loaded.length < LOADED_MAX) this.#loaded.push(loaded)
    }
    this.#pending = []
  }
}
