// Rules by host, so that a decision looks only at rules that can matter, however many there are. Built once a policy;
// asked by `decide.ts` for every call. Pure.

import { contains } from '../wire/address.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Entry } from './bound-rule.ts'

/** The entries whose hosts cover an endpoint's host, each list in the order of the rules. */
export interface HostRules {
  readonly denies: readonly Entry[]
  readonly allows: readonly Entry[]
  /** Where a person decides; those of `always` sets allow nothing by themselves. */
  readonly holds: readonly Entry[]
  /** Allows of `always` sets: they only add what a call owes. */
  readonly guards: readonly Entry[]
  /** Those whose answer time may change. */
  readonly timed: readonly Entry[]
  /** Whether one of them looks inside calls. */
  readonly looksInside: boolean
}

const NONE: HostRules = {
  denies: [],
  allows: [],
  holds: [],
  guards: [],
  timed: [],
  looksInside: false,
}

/** Entries by host. Lists are merged when the index is built: a lookup finds one list and makes none. */
export class HostIndex {
  readonly #exact: ReadonlyMap<string, HostRules>
  readonly #below: ReadonlyMap<string, HostRules>
  readonly #any: HostRules
  readonly #ranges: readonly Entry[]

  constructor(entries: readonly Entry[]) {
    const byKey = groupByKey(entries)
    this.#any = sortOut(entries.filter(({ host }) => host.kind === 'any'))
    this.#ranges = entries.filter(({ host }) => host.kind === 'range')
    this.#below = new Map(
      [...byKey.below.keys()].map((suffix) => [
        suffix,
        sortOut(collectBelow(byKey, `x.${suffix}`, this.#any)),
      ]),
    )
    this.#exact = new Map(
      [...byKey.exact].map(([host, own]) => [
        host,
        own.isAddress
          ? sortOut(own.entries)
          : sortOut([...own.entries, ...collectBelow(byKey, host, this.#any)]),
      ]),
    )
  }

  /** The entries that cover an endpoint's host. */
  rulesFor(endpoint: Endpoint): HostRules {
    const exact = this.#exact.get(endpoint.host)
    if (endpoint.kind !== 'name') return this.#withRanges(endpoint, exact ?? NONE)
    if (exact) return exact
    if (this.#below.size > 0)
      for (
        let dot = endpoint.host.indexOf('.');
        dot >= 0;
        dot = endpoint.host.indexOf('.', dot + 1)
      ) {
        const below = this.#below.get(endpoint.host.slice(dot + 1))
        if (below) return below
      }
    return this.#any
  }

  #withRanges(endpoint: Endpoint, exact: HostRules): HostRules {
    const covering = this.#ranges.filter(
      ({ host }) => host.kind === 'range' && contains(host.cidr, endpoint.host),
    )
    if (covering.length === 0) return exact
    return sortOut([...listAll(exact), ...covering])
  }
}

interface ByKey {
  readonly exact: ReadonlyMap<string, { readonly isAddress: boolean; readonly entries: Entry[] }>
  readonly below: ReadonlyMap<string, Entry[]>
}

function groupByKey(entries: readonly Entry[]): ByKey {
  const exact = new Map<string, { isAddress: boolean; entries: Entry[] }>()
  const below = new Map<string, Entry[]>()
  for (const entry of entries) {
    const { host } = entry
    if (host.kind === 'exact') {
      const known = exact.get(host.host)
      if (known) known.entries.push(entry)
      else exact.set(host.host, { isAddress: host.isAddress, entries: [entry] })
    } else if (host.kind === 'below') {
      const known = below.get(host.suffix)
      if (known) known.push(entry)
      else below.set(host.suffix, [entry])
    }
  }
  return { exact, below }
}

// The entries of every suffix that a name is below, and of `*`.
function collectBelow({ below }: ByKey, name: string, any: HostRules): Entry[] {
  const entries = listAll(any)
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
    entries.push(...(below.get(name.slice(dot + 1)) ?? []))
  return entries
}

function listAll({ denies, allows, holds, guards }: HostRules): Entry[] {
  return [...denies, ...allows, ...holds, ...guards]
}

function sortOut(entries: readonly Entry[]): HostRules {
  const sorted = entries.toSorted((one, other) => one.rule.ordinal - other.rule.ordinal)
  return {
    denies: sorted.filter(({ rule }) => rule.verdict === 'deny'),
    allows: sorted.filter(({ rule }) => rule.verdict === 'allow' && rule.binding === 'task'),
    holds: sorted.filter(({ rule }) => rule.verdict === 'hold'),
    guards: sorted.filter(({ rule }) => rule.verdict === 'allow' && rule.binding === 'always'),
    timed: sorted.filter(({ rule }) => isTimed(rule)),
    looksInside: sorted.some(({ rule }) => looksInside(rule)),
  }
}

/** Whether time may change what a rule says. */
export function isTimed({ between, expiresAt, when }: Entry['rule']): boolean {
  return between !== undefined || expiresAt !== undefined || when?.readsNow === true
}

/** Whether a rule looks at bytes of a call beyond its head. */
export function looksInside({ inside, when }: Entry['rule']): boolean {
  return inside !== undefined || (when !== undefined && when.needs.length > 0)
}
