// The fewest rules that allow what was wanted and no more than that: methods whose paths are the same share a rule, and so do hosts
// whose methods and paths are. In an order that does not depend on that of the records. Pure. Called by `cli/suggest.ts`.

import type { Collected } from './collect.ts'
import {
  compare,
  countsOf,
  groupBy,
  testOf,
  TESTS_MAX,
  type Draft,
  type SuggestedRule,
} from './draft.ts'
import { insideRules, isSiteOfInside } from './inside-rules.ts'
import { generalizePaths } from './paths.ts'

/** Rules, and what of what was wanted they do not allow. */
export interface Suggestion {
  readonly rules: readonly SuggestedRule[]
  readonly leftOut: readonly { readonly why: string; readonly count: number }[]
}

/** What of an unseen tunnel is suggested: reading alone. What more is wanted then shows as it is refused. */
const UNSEEN_METHODS = ['GET', 'HEAD'] as const

/** Makes the rules. */
export function suggestRules(wanted: readonly Collected[]): Suggestion {
  const all = wanted.toSorted((one, other) => compare(sortKey(one), sortKey(other)))
  const calls = all.filter(({ wanted: { call } }) => call !== undefined)
  const inside = calls.filter(({ wanted: { call } }) => call?.inside !== undefined)
  const isAbsorbed = isSiteOfInside(inside)
  const credentials = credentialsIn(all)
  const plain = calls.filter((each) => each.wanted.call?.inside === undefined && !isAbsorbed(each))
  const looked = new Set(calls.map(({ wanted: { place } }) => place))
  const tunnels = all.filter(
    ({ wanted: { call, origin, place } }) =>
      call === undefined && !(looked.has(place) && origin.startsWith('https:')),
  )
  const opaque = tunnels.filter(({ wanted: { place, origin } }) =>
    isFree(place, origin, looked, all),
  )
  const leftOut = tunnels
    .filter((each) => !opaque.includes(each))
    .map((each) => ({
      why: 'a tunnel that nobody looks into, to where calls are looked into',
      count: each.observed + each.denied,
    }))
  const drafts = [
    ...plainDrafts(plain),
    ...insideRules(inside, calls.filter(isAbsorbed)),
    ...opaque.map(tunnelDraft),
  ].map((draft) => withCredential(draft, credentials))
  return { rules: nameRules(mergeHosts(drafts)), leftOut }
}

function sortKey({ wanted: { origin, call } }: Collected): string {
  return `${origin} ${call?.path ?? ''} ${call?.method ?? ''} ${JSON.stringify(call?.inside ?? '')}`
}

// A `tls` or `tcp` rule does not apply where another has the connection looked into.
function isFree(
  place: string,
  origin: string,
  looked: ReadonlySet<string>,
  all: readonly Collected[],
): boolean {
  if (origin.startsWith('https:')) return true
  const isUnseenToo = all.some(
    ({ wanted }) =>
      wanted.place === place && wanted.call === undefined && wanted.origin.startsWith('https:'),
  )
  return !looked.has(place) && !isUnseenToo
}

function plainDrafts(plain: readonly Collected[]): Draft[] {
  const drafts: Draft[] = []
  for (const ofOrigin of groupBy(plain, ({ wanted }) => wanted.origin).values()) {
    const byPaths = new Map<
      string,
      { methods: string[]; paths: string[]; of: Collected[]; generalized: boolean }
    >()
    for (const [method, same] of groupBy(ofOrigin, ({ wanted }) => wanted.call?.method ?? '')) {
      const { paths, generalized } = pathsOf(same)
      const key = JSON.stringify(paths)
      const known = byPaths.get(key)
      if (known === undefined)
        byPaths.set(key, { methods: [method], paths, of: [...same], generalized })
      else {
        known.methods.push(method)
        known.of.push(...same)
      }
    }
    for (const { methods, paths, of, generalized } of byPaths.values())
      drafts.push({
        ...countsOf(of),
        allow: [of[0]?.wanted.origin ?? ''],
        methods: methods.toSorted(compare),
        paths,
        notes: generalized ? ['`*` stands where three ids or more were seen'] : [],
        tests: of.slice(0, TESTS_MAX).map(testOf),
      })
  }
  return drafts
}

function pathsOf(same: readonly Collected[]): { paths: string[]; generalized: boolean } {
  const patterns = same.map(({ wanted: { call } }) => call?.patterns ?? [])
  const single = generalizePaths(patterns.filter((each) => each.length === 1).flat())
  const several = patterns.filter((each) => each.length > 1).flat()
  return {
    paths: [...new Set([...single.map(({ text }) => text), ...several])].toSorted(compare),
    generalized: single.some(({ paths }) => paths > 1),
  }
}

function tunnelDraft(one: Collected): Draft {
  const { origin, place } = one.wanted
  const isUnseen = origin.startsWith('https:')
  return {
    ...countsOf([one]),
    allow: [origin],
    ...(isUnseen && { methods: UNSEEN_METHODS }),
    notes: isUnseen
      ? [
          'of these tunnels nothing was seen: reading alone is suggested, any path; what more is wanted then shows',
        ]
      : ['nobody sees what happens inside'],
    tests: [{ call: `CONNECT ${place}` }],
  }
}

function credentialsIn(all: readonly Collected[]): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const { wanted } of all) {
    if (wanted.credential === undefined) continue
    const names = found.get(wanted.origin) ?? new Set()
    found.set(wanted.origin, names.add(wanted.credential))
  }
  return found
}

function withCredential(
  draft: Draft,
  credentials: ReadonlyMap<string, ReadonlySet<string>>,
): Draft {
  const names = [...(credentials.get(draft.allow[0] ?? '') ?? [])]
  const [credential] = names
  if (credential === undefined) return draft
  if (names.length === 1) return { ...draft, credential }
  return { ...draft, notes: [...draft.notes, 'more than one credential was added: choose one'] }
}

// Hosts at which the same may be done share a rule, save where the rule looks inside: names mean something else elsewhere.
function mergeHosts(drafts: readonly Draft[]): Draft[] {
  const merged = new Map<string, Draft>()
  for (const draft of drafts) {
    const { allow, methods, paths, keys, credential, notes } = draft
    const key = keys
      ? JSON.stringify([allow, methods, paths, keys])
      : JSON.stringify([methods, paths, credential, notes])
    const known = merged.get(key)
    merged.set(
      key,
      known === undefined
        ? draft
        : {
            ...known,
            allow: [...known.allow, ...allow],
            observed: known.observed + draft.observed,
            denied: known.denied + draft.denied,
            tests: [...known.tests, ...draft.tests].slice(
              0,
              Math.max(TESTS_MAX, known.allow.length + 1),
            ),
          },
    )
  }
  return [...merged.values()].toSorted((one, other) => compare(placeOf(one), placeOf(other)))
}

function placeOf({ allow, methods = [], keys }: Draft): string {
  return `${allow.join(' ')} ${methods.join(' ')} ${JSON.stringify(keys ?? '')}`
}

const ID_CHARACTERS_MAX = 100

function nameRules(drafts: readonly Draft[]): SuggestedRule[] {
  const used = new Map<string, number>()
  return drafts.map((draft) => {
    const [origin = ''] = draft.allow
    const host = origin.replace(/^\w+:\/\//, '').replace(/:\d+$/, '')
    const name = host.replaceAll(/[^\w.-]/g, '-').slice(0, ID_CHARACTERS_MAX)
    const count = (used.get(name) ?? 0) + 1
    used.set(name, count)
    return { id: count === 1 ? name : `${name}-${String(count)}`, ...draft }
  })
}
