// The values that secrets have or had, so that they can be masked wherever text is written down: as they are and in the usual
// encodings, and the placeholders that stand for them. Deliberately gives nothing out: a text goes in and comes back without
// them. Filled by this room; asked through the interface of `inspect/redactor.ts`.

import { base64TracesOf, SOUGHT_LENGTH_MIN, TextFinder, tracesOf } from '../wire/text-finder.ts'

// A file that is written anew all the time must not make the list grow.
const VALUES_EACH_MAX = 4
/** Texts are cut nowhere before; the shortest that is, is what an alert is about. */
const CUT_LENGTH_MIN = 128
const CREDENTIAL = '[secret:credential]'
const PLACEHOLDER = '[secret:placeholder]'

/** The placeholders of a task by their text, with what is random in them: the same map for the same task. */
type Placeholders = ReadonlyMap<string, { readonly pieces: readonly string[] }>

/** Masks the values of secrets and what stands for them. */
export class KnownSecrets {
  readonly #values: Map<string, readonly string[]> = new Map()
  /** Of leases: known as long as each of them. */
  readonly #leased: Set<readonly string[]> = new Set()
  readonly #placeholders: WeakMap<Placeholders, TextFinder<string>> = new WeakMap()
  #placeholdersOf: ((taskId: string) => Placeholders) | undefined
  /** Made when it is needed, of what is known then; null: of nothing. */
  #finder: TextFinder<string> | null | undefined
  #last: { readonly taskId: string; readonly finder: TextFinder<string> } | undefined
  #changes = 0

  /** How often what is known has changed. */
  get changes(): number {
    return this.#changes
  }

  /** Says where the placeholders of a task are. */
  usePlaceholders(placeholdersOf: (taskId: string) => Placeholders): void {
    this.#placeholdersOf = placeholdersOf
  }

  /**
   * Takes a value in. The last few of each name are known, as a value may come back after it was replaced. One of fewer than 8
   * characters is not looked for: it would be found everywhere.
   */
  learn(name: string, value: string): void {
    const known = this.#values.get(name) ?? []
    if (value.length < SOUGHT_LENGTH_MIN || known.includes(value)) return
    this.#values.set(name, [...known, value].slice(-VALUES_EACH_MAX))
    this.#noteChange()
  }

  /** Takes the values of a lease in, of 8 characters at the least as well. @returns what forgets them */
  learnLease(values: readonly string[]): () => void {
    const sought = values.filter(({ length }) => length >= SOUGHT_LENGTH_MIN)
    if (sought.length === 0) return () => undefined
    this.#leased.add(sought)
    this.#noteChange()
    return () => {
      // Nothing that was made of them stays either.
      if (this.#leased.delete(sought)) this.#noteChange()
    }
  }

  /** A text without the values of credentials, in any of the usual encodings. */
  maskValues(text: string): string {
    if (this.#finder === undefined) this.#finder = this.#makeFinder()
    const finder = this.#finder
    return finder === null ? text : maskAll(text, finder)
  }

  /** A text without the placeholders of a task. */
  maskPlaceholders(text: string, taskId: string): string {
    const finder = this.#finderOf(taskId)
    return finder === undefined ? text : maskAll(text, finder)
  }

  #noteChange(): void {
    this.#changes += 1
    this.#finder = undefined
  }

  #makeFinder(): TextFinder<string> | null {
    const values = [...this.#values.values(), ...this.#leased].flat()
    const texts = new Set(values.flatMap(formsOf))
    return texts.size === 0 ? null : new TextFinder([...texts].map((text) => [text, CREDENTIAL]))
  }

  // What a task's placeholders are never changes, and the texts of one record are asked about one after the other.
  #finderOf(taskId: string): TextFinder<string> | undefined {
    if (this.#last?.taskId === taskId) return this.#last.finder
    const placeholders = this.#placeholdersOf?.(taskId)
    if (placeholders === undefined || placeholders.size === 0) return undefined
    let finder = this.#placeholders.get(placeholders)
    if (finder === undefined) {
      finder = new TextFinder([...placeholders].flatMap(placeholderForms))
      this.#placeholders.set(placeholders, finder)
    }
    this.#last = { taskId, finder }
    return finder
  }
}

// What stands in a text where a value does, but for percent escapes: whoever looks decodes these.
function formsOf(value: string): string[] {
  const json = JSON.stringify(value).slice(1, -1)
  const base64 = base64TracesOf(value)
  return [
    value,
    json,
    json.replaceAll('/', '\\/'),
    encodeURIComponent(value),
    value.replaceAll(' ', '+'),
    Buffer.from(value, 'latin1').toString('hex'),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
}

function placeholderForms([text, { pieces }]: [string, { readonly pieces: readonly string[] }]): [
  string,
  string,
][] {
  return [text, ...pieces.flatMap(tracesOf)].map((form) => [form, PLACEHOLDER])
}

function maskAll(text: string, finder: TextFinder<string>): string {
  let found = finder.locate(text)
  if (found === undefined) return maskCut(text, finder, text.length)
  let masked = ''
  let from = 0
  while (found !== undefined) {
    masked += text.slice(from, found.at) + found.owner
    from = found.at + found.length
    found = finder.locate(text, from)
  }
  return masked + maskCut(text.slice(from), finder, text.length)
}

// What is left of a value at the end of a text that was cut there.
function maskCut(rest: string, finder: TextFinder<string>, length: number): string {
  const found = length < CUT_LENGTH_MIN ? undefined : finder.locateCut(rest)
  return found === undefined ? rest : rest.slice(0, found.at) + found.owner
}
