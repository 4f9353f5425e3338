// Suggested rules as values, before they are text, and what those who make them share. Pure. Called by `rules.ts`,
// `inside-rules.ts` and `text.ts`.

import type { Collected } from './collect.ts'

/** A rule that is suggested. */
export interface SuggestedRule {
  readonly id: string
  readonly allow: readonly string[]
  readonly methods?: readonly string[]
  readonly paths?: readonly string[]
  readonly keys?: SuggestedKeys
  readonly credential?: string
  /** Calls that it stands for. */
  readonly observed: number
  readonly denied: number
  /** What whoever reads it should know; our own words. */
  readonly notes: readonly string[]
  readonly tests: readonly SuggestedTest[]
}

/** The keys that look inside calls, as they are written. */
export interface SuggestedKeys {
  readonly tools?: readonly string[]
  readonly resources?: readonly string[]
  readonly prompts?: readonly string[]
  readonly models?: readonly string[]
  readonly maxTokens?: number
  readonly serverTools?: false | readonly string[]
  readonly graphql?: {
    readonly operations: readonly string[]
    readonly fields: readonly string[]
    readonly introspection?: true
  }
  readonly git?: {
    readonly repos: readonly string[]
    readonly push?: readonly string[]
    readonly force?: true
  }
}

/** A call that was seen, as a test of its rule. */
export interface SuggestedTest {
  /** `METHOD URL`, or `CONNECT HOST:PORT`. */
  readonly call: string
  readonly item?: { readonly key: 'tool' | 'resource' | 'prompt'; readonly name: string }
}

/** A rule without its name. */
export type Draft = Omit<SuggestedRule, 'id'>

/** How many calls a rule's tests are made of. */
export const TESTS_MAX = 3

/** Orders texts by their code units. */
export function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

/** How many calls something stands for. */
export function countsOf(of: readonly Collected[]): { observed: number; denied: number } {
  return {
    observed: of.reduce((sum, { observed }) => sum + observed, 0),
    denied: of.reduce((sum, { denied }) => sum + denied, 0),
  }
}

/** The test of a call that was seen. */
export function testOf({ wanted: { origin, call } }: Collected): SuggestedTest {
  return { call: `${call?.method ?? ''} ${origin}${call?.path ?? ''}` }
}

/** Puts items together by a text. */
export function groupBy<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
): ReadonlyMap<string, readonly Item[]> {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
