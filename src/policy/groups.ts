// Named groups of destinations, `hosts:` of a rule file, which the rules of all files use as `{ group: NAME }`. A set that uses
// groups of other files has them behind its own text, so that what is kept of it by its digest is all that it says, and a
// change of the group is a change of the set. Pure; called by `parse.ts` and `config/rule-groups.ts`.

import { groups as schema } from './destination-grammar.ts'
import type { Destination } from './rule-set.ts'
import { isMapping, readYamlText, type Place, type RawMapping } from './yaml-text.ts'

/** A group as it was defined. */
export interface Group {
  readonly name: string
  readonly file: string
  readonly place: Place
  /** As it is written: what goes behind the text of a set that uses it. */
  readonly written: unknown
  readonly destinations: readonly Destination[]
}

/** Groups by their names. */
export type Groups = ReadonlyMap<string, Group>

// What stands between a set's own text and the groups of other files that it uses.
const SEPARATOR = '--- # groups of other files\n'

/**
 * Finds the groups that a rule file defines. What is wrong with them is told where the file itself is read.
 * @returns only those that are sound
 */
export function findGroups(source: string, file: string): readonly Group[] {
  // Most files define none, and reading YAML is dear.
  if (!source.includes('hosts')) return []
  const yaml = readYamlText(splitText(source).own, file)
  const place = (name: string): Place => yaml.place(['hosts', name], 'key')
  return isMapping(yaml.value) ? readGroups(yaml.value, file, place) : []
}

/** Reads a text and the groups of other files behind it, as `joinText` joins them; those groups have their place in it. */
export function splitText(source: string): { readonly own: string; readonly behind: string } {
  const at = source.lastIndexOf(`\n${SEPARATOR}`)
  if (at < 0) return { own: source, behind: '' }
  return { own: source.slice(0, at + 1), behind: source.slice(at + 1 + SEPARATOR.length) }
}

/** A set's text with the groups of other files that it uses behind it: equal for equal groups, wherever they are defined. */
export function joinText(source: string, used: Iterable<Group>): string {
  const groups = [...used].toSorted((one, other) => (one.name < other.name ? -1 : 1))
  if (groups.length === 0) return source
  const written = groups.map((group) => `  ${group.name}: ${JSON.stringify(group.written)}\n`)
  return `${source}${source.endsWith('\n') ? '' : '\n'}${SEPARATOR}hosts:\n${written.join('')}`
}

/** The groups that the rules of one file may use, its own first. */
export class GroupScope {
  readonly #own: Groups
  /** Names of its own, sound or not. */
  readonly #ownNames: readonly string[]
  readonly #behind: Groups
  readonly #shared: Groups
  readonly #used: Map<string, Group> = new Map()

  /**
   * @param raw the file
   * @param behind the text behind that of the file
   * @param shared those of all files
   */
  constructor(raw: RawMapping, behind: string, shared: Groups) {
    const nowhere = (): Place => ({ line: 1, column: 1 })
    const read = (value: unknown): Groups =>
      new Map(
        isMapping(value) ? readGroups(value, '', nowhere).map((each) => [each.name, each]) : [],
      )
    this.#own = read(raw)
    this.#ownNames = isMapping(raw['hosts']) ? Object.keys(raw['hosts']) : []
    this.#behind = behind === '' ? new Map() : read(readYamlText(behind, '').value)
    this.#shared = shared
  }

  /** The destinations of a group; undefined where there is none. What is wrong with one of the file's own was told. */
  find(name: string): readonly Destination[] | undefined {
    if (this.#ownNames.includes(name)) return this.#own.get(name)?.destinations ?? []
    const behind = this.#behind.get(name)
    if (behind) return behind.destinations
    const shared = this.#shared.get(name)
    if (shared) this.#used.set(name, shared)
    return shared?.destinations
  }

  /** All names there are. */
  get names(): readonly string[] {
    return [...this.#ownNames, ...this.#behind.keys(), ...this.#shared.keys()]
  }

  /** Those of other files that were found and are not behind the text already. */
  get used(): Iterable<Group> {
    return this.#used.values()
  }
}

function readGroups(
  file: RawMapping,
  name: string,
  place: (group: string) => Place,
): readonly Group[] {
  const { hosts } = file
  if (!isMapping(hosts)) return []
  return Object.entries(hosts).flatMap(([each, written]) => {
    const read = schema.safeParse({ [each]: written })
    if (!read.success) return []
    const destinations = read.data[each] ?? []
    return [{ name: each, file: name, place: place(each), written, destinations }]
  })
}
